package certs_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/certs"
)

func TestParseURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"spiffe://lienthong.test/node/H41/motcua":     "H41/motcua",
		"spiffe://lienthong.test/node/G12.18/m-1":     "G12.18/m-1",
		"spiffe://a/hub/hub1.example":                 "hub:hub1.example",
		"spiffe://lienthong.test/admin/nguyen-van-a":  "admin:nguyen-van-a",
		"spiffe://lienthong.test/node/H41/motcua/":    "",
		"spiffe://lienthong.test/node/H41//motcua":    "",
		"spiffe://lienthong.test//node/H41/motcua":    "",
		"spiffe://lienthong.test/node/H41/../G22":     "",
		"spiffe://lienthong.test/node/H41/..":         "",
		"spiffe://lienthong.test/node/H41/mot%63ua":   "",
		"spiffe://lienthong.test/node/H41%2Fx/motcua": "",
		"spiffe://lienthong.test/node/H41/motcua?x":   "",
		"spiffe://lienthong.test/node/H41/motcua?":    "",
		"spiffe://lienthong.test/node/H41/motcua#":    "",
		"spiffe://lienthong.test/node/h41/motcua":     "",
		"spiffe://lienthong.test/node/H41./motcua":    "",
		"spiffe://lienthong.test/node/.H41/motcua":    "",
		"spiffe://lienthong.test/node/H41..01/motcua": "",
		"spiffe://lienthong.test/node/H41/Motcua":     "",
		"spiffe://lienthong.test/node/H41/-motcua":    "",
		"spiffe://lienthong.test/node/H41/motcua\x00": "",
		"spiffe://lienthong.test/node/H41/motcua\n":   "",
		"spiffe://lienthong.test/node/H41/mộtcửa":     "",
		"spiffe://lienthong.test/node/H41":            "",
		"spiffe://lienthong.test/Node/H41/motcua":     "",
		"spiffe://lienthong.test/admin/":              "",
		"spiffe://lienthong.test/admin/a/b":           "",
		"spiffe://lienthong.test/hub/a..b":            "",
		"spiffe://lienthong.test/":                    "",
		"spiffe://lienthong.test":                     "",
		"spiffe://lienthong.test:443/node/H41/motcua": "",
		"spiffe://x@lienthong.test/node/H41/motcua":   "",
		"spiffe://LIENTHONG.test/node/H41/motcua":     "",
		"spiffe:///node/H41/motcua":                   "",
		"SPIFFE://lienthong.test/node/H41/motcua":     "",
		"https://lienthong.test/node/H41/motcua":      "",
		" spiffe://lienthong.test/node/H41/motcua":    "",
		"spiffe://lienthong.test\\node\\H41\\motcua":  "",
		"": "",
		"spiffe://a/node/H41/" + strings.Repeat("a", 63):    "H41/" + strings.Repeat("a", 63),
		"spiffe://a/node/H41/" + strings.Repeat("a", 64):    "",
		"spiffe://a/node/" + strings.Repeat("A", 33) + "/a": "",
		"spiffe://" + strings.Repeat("a", 64) + "/hub/h":    "",
	} {
		_, id, err := certs.ParseURI(uri)
		if id.String() != want || (err == nil) != (want != "") || (err != nil && !errors.Is(err, certs.ErrName)) {
			t.Errorf("%q is %q, %v; want %q", uri, id, err, want)
		}
	}
}

func TestParseNodeID(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{
		"H41/motcua": true, "G12.18/m": true, "H41/0": true,
		"H41": false, "/motcua": false, "H41/": false, "": false, "H41/a/b": false, "admin:root": false, "h41/motcua": false, "H41/mot cua": false,
	} {
		identity, err := certs.ParseNodeID(id)
		if ok != (err == nil) || (ok && identity.String() != id) {
			t.Errorf("%q is %+v, %v", id, identity, err)
		}
	}
}

// Every identity that can be certified is read back as it was, and no two
// identities share a name.
func TestURIRoundTrip(t *testing.T) {
	t.Parallel()
	names := rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,30}`)
	rapid.Check(t, func(t *rapid.T) {
		id := certs.Identity{Kind: rapid.SampledFrom([]certs.Kind{certs.KindNode, certs.KindHub, certs.KindAdmin}).Draw(t, "kind"), Name: names.Draw(t, "name")}
		if id.Kind == certs.KindNode {
			id.Organisation = rapid.StringMatching(`[A-Z][0-9]{2}(\.[A-Z0-9]{1,3}){0,4}`).Draw(t, "organisation")
		}
		domain := names.Draw(t, "domain")
		gotDomain, got, err := certs.ParseURI(id.URI(domain))
		if err != nil || got != id || gotDomain != domain {
			t.Fatalf("%s became %+v of %s, %v", id.URI(domain), got, gotDomain, err)
		}
		if asNode, err := certs.ParseNodeID(id.String()); (err == nil) != (id.Kind == certs.KindNode) || (err == nil && asNode != id) {
			t.Fatalf("%s as node id is %+v, %v", id, asNode, err)
		}
	})
}

func FuzzParseURI(f *testing.F) {
	f.Add("spiffe://lienthong.test/node/H41/motcua")
	f.Add("spiffe://lienthong.test/hub/hub1")
	f.Add("spiffe://lienthong.test/admin/root?")
	f.Fuzz(func(t *testing.T, uri string) {
		domain, id, err := certs.ParseURI(uri)
		if err == nil && id.URI(domain) != uri {
			t.Fatalf("%q was read as %q", uri, id.URI(domain))
		}
		if err != nil && id != (certs.Identity{}) {
			t.Fatalf("%q is refused and still %+v", uri, id)
		}
	})
}
