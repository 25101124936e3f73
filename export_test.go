package main

// NameWithoutLinks is what names files on file systems without links.
func NameWithoutLinks(staged, path string) error { return nameWithoutLinks(staged, path) }
