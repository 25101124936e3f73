package main_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// documents are the pages whose claims are held here.
func documents() []string { return []string{"README.md", "README.vi.md", "CONTRIBUTING.md"} }

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestReadmeLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile("\\[`?([^\\]`]+)`?\\]\\(([^)#]+)\\)")
	for _, document := range documents() {
		for _, found := range link.FindAllStringSubmatch(read(t, document), -1) {
			name, target := found[1], found[2]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links %q to %s, which is not there", document, name, target)
				continue
			}
			if strings.HasPrefix(name, "Test") && !strings.Contains(read(t, target), "func "+name+"(") {
				t.Errorf("%s says that %s holds a claim; %s has no such test", document, name, target)
			}
		}
	}
}

func TestReadmeCommandsAreCommands(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	for _, document := range documents() {
		commands := 0
		for line := range strings.Lines(read(t, document)) {
			command, isCommand := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !isCommand {
				continue
			}
			words := strings.Fields(strings.Split(command, "#")[0])
			switch words[0] {
			case "make":
				commands++
				if !strings.Contains(makefile, "\n"+words[1]+":") {
					t.Errorf("%s: there is no target for %q", document, command)
				}
			case "lienthong":
				commands++
				// With --help, flags are still parsed and nothing is run.
				if got := lienthong(t, "", append(words[1:], "--help")...); got.code != 0 {
					t.Errorf("%s: %q: exit code %d, %s", document, command, got.code, got.stderr)
				}
			}
		}
		if strings.HasPrefix(document, "README") && commands < 5 {
			t.Errorf("%s: found %d commands", document, commands)
		}
	}
}
