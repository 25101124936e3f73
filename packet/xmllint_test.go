package packet_test

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// xmllint judges many documents in few runs. It returns what it says of each; an
// empty text where it says nothing.
func xmllint(t *testing.T, documents [][]byte) []string {
	t.Helper()
	const atOnce = 1000
	var said []string
	for batch := range slices.Chunk(documents, atOnce) {
		said = append(said, xmllintRun(t, batch)...)
	}
	return said
}

func xmllintRun(t *testing.T, documents [][]byte) []string {
	t.Helper()
	program, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (make tools): %v", err)
	}
	dir := t.TempDir()
	args := []string{"--noout", "--nonet", "--nocatalogs"}
	for i, content := range documents {
		args = append(args, write(t, dir, strconv.Itoa(i)+".xml", content))
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 { // 1: some are not well-formed
		t.Fatalf("xmllint: %v\n%s", err, out.Bytes())
	}
	said := make([]string, len(documents))
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(dir+string(filepath.Separator)) + `(\d+)\.xml:\d+: (.*)$`)
	for _, found := range line.FindAllStringSubmatch(out.String(), -1) {
		i, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		said[i] += found[2] + "\n"
	}
	return said
}

// libxml2sOwn reports documents on which libxml2 has a view of its own: it guesses
// encodings, ends a text at U+0000, and counts names with nothing behind their
// prefix as errors of another kind.
func libxml2sOwn(content []byte, said string) bool {
	text, _, err := decodedText(content)
	return err != nil || strings.Contains(text, "\x00") || errors.Is(wellFormed(content), errEncoding) || strings.Contains(said, "Failed to parse QName")
}

// TestXmllintJudgesDocumentsAlike: packet, encoding/xml with its gaps closed, and
// libxml2 agree on what is well-formed.
func TestXmllintJudgesDocumentsAlike(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	var contents [][]byte
	rapid.Check(t, func(t *rapid.T) {
		contents = append(contents, drawnDocuments().Draw(t, "document").content)
		for _, d := range rapid.SliceOfN(harmedDocuments(), 5, 5).Draw(t, "documents") {
			contents = append(contents, d.content)
		}
	})
	for i, said := range xmllint(t, contents) {
		if libxml2sOwn(contents[i], said) {
			continue
		}
		refused := strings.Contains(said, "parser error")
		if ours, findings := verdictOf(t, codec, contents[i]); ours != unjudged && ours != forbidden && (ours == malformed) != refused {
			t.Errorf("%.2000q\npacket finds it well-formed: %t, with %v\nxmllint says %q", contents[i], ours == wellformed, refusals(findings), said)
		}
		if err := wellFormed(contents[i]); !errors.Is(err, errUnjudged) && !errors.Is(err, errForbidden) && (err != nil) != refused {
			t.Errorf("%.2000q\nencoding/xml with its gaps closed says %v\nxmllint says %q", contents[i], err, said)
		}
	}
}
