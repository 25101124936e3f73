package main

import "github.com/lienthong/lienthong/hub/store/pebblestore"

// NameWithoutLinks is what names files on file systems without links.
func NameWithoutLinks(staged, path string) error { return nameWithoutLinks(staged, path) }

// Explain says what a rule of fsck is about.
func Explain(rule pebblestore.Rule) (vi, en string) { return explain(rule) }
