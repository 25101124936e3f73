package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
)

//go:embed static templates
var files embed.FS

// asset is one file that pages refer to.
type asset struct {
	content     []byte
	contentType string
	version     string
}

// assets are found by file name.
type assets map[string]asset

// templates are found by page name.
type templates map[string]*template.Template

// contentTypes does not depend on what the machine calls its files.
func contentTypes() map[string]string {
	return map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
}

func loadAssets() (assets, error) {
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	all := make(assets, len(entries))
	for _, entry := range entries {
		content, err := files.ReadFile(path.Join("static", entry.Name()))
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(content)
		all[entry.Name()] = asset{
			content:     content,
			contentType: contentTypes()[path.Ext(entry.Name())],
			version:     hex.EncodeToString(digest[:8]),
		}
	}
	return all, nil
}

// loadTemplates parses each page together with the layout and the parts.
func loadTemplates() (templates, error) {
	shared, err := template.ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	all := make(templates)
	for _, name := range []string{"home", "dossier", "unknown", "overview", "statistics", "surveys", "refused"} {
		own, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if all[name], err = own.ParseFS(files, "templates/"+name+".html"); err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
	}
	return all, nil
}

// url returns the address of an asset; it changes with the content.
func (a assets) url(name string) string {
	return "/static/" + name + "?v=" + a[name].version
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	found, ok := s.assets[r.PathValue("name")]
	if !ok {
		s.refuse(w, r, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", found.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(found.content)))
	if r.URL.Query().Get("v") == found.version {
		w.Header().Set("Cache-Control", cacheForever)
	}
	_, _ = w.Write(found.content) // a client that left needs no answer
}
