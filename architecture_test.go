package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/lienthong/lienthong"

// arrows says which rooms of this module a room may import outside its tests.
// "gen" stands for everything under gen/. A room that is not listed may not exist.
func arrows() map[string][]string {
	return map[string][]string{
		"packet":                {"gen", "packet/samples"},
		"packet/samples":        {"gen"},
		"certs":                 {},
		"hub":                   {"gen", "certs", "packet", "hub/*"},
		"hub/admin":             {"gen", "certs", "packet", "hub/registry", "hub/ledger", "hub/fault"},
		"hub/exchange":          {"gen", "packet", "hub/store", "hub/store/blobs", "hub/fault", "hub/ledger"},
		"hub/fault":             {"gen"},
		"hub/gateway":           {"gen", "packet", "hub/fault"},
		"hub/hubtest":           {"gen", "certs", "packet", "hub", "hub/*"},
		"hub/hubtest/history":   {"gen"},
		"hub/ledger":            {"gen", "certs", "hub/fault"},
		"hub/lookup":            {"gen", "packet", "hub/store", "hub/fault"},
		"hub/registry":          {"gen", "certs", "packet", "hub/store", "hub/fault"},
		"hub/rpc":               {"gen", "certs", "hub/fault"},
		"hub/store":             {},
		"hub/store/blobs":       {"hub/store"},
		"hub/store/journal":     {"hub/store"},
		"hub/store/pebblestore": {"gen", "hub/store", "hub/store/journal"},
		"hub/store/storetest":   {"gen", "hub/store"},
		"hub/views":             {"gen", "packet", "hub/store", "hub/fault"},
		"hub/web":               {"gen", "packet", "hub/fault"},
		"nodes":                 {"gen", "certs", "packet", "nodes/receipt"},
		"nodes/receipt":         {"gen"},
		".":                     {"gen", "certs", "packet", "packet/samples", "hub", "hub/*", "nodes", "nodes/*"},
	}
}

func TestArrowsPointOneWay(t *testing.T) {
	t.Parallel()
	known := arrows()
	for _, pkg := range packages(t) {
		room := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		if room == "" {
			room = "."
		}
		if strings.HasPrefix(room, "gen/") {
			continue
		}
		allowed, ok := known[room]
		if !ok {
			t.Errorf("room %s is not in the plan: add it to arrows, with a reason in the commit message", room)
			continue
		}
		for _, imported := range pkg.Imports {
			target, inside := strings.CutPrefix(imported, module+"/")
			if inside && !permitted(target, allowed) {
				t.Errorf("%s imports %s; allowed are %v", room, target, allowed)
			}
		}
	}
}

func permitted(target string, allowed []string) bool {
	for _, a := range allowed {
		if matched, err := path.Match(a, target); err == nil && matched || a == "gen" && strings.HasPrefix(target, "gen/") {
			return true
		}
		if prefix, ok := strings.CutSuffix(a, "/*"); ok && strings.HasPrefix(target, prefix+"/") {
			return true
		}
	}
	return false
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg listed
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list output: %v", err)
		}
		all = append(all, pkg)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}
