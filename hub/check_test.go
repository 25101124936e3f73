package hub_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// served is the data directory of a hub that has accepted 5 packets, delivered 3, and
// was stopped. All of them are under a checkpoint.
func served(t *testing.T) string {
	t.Helper()
	h := hubtest.Start(t, auditing)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	submitted(t, province, 0, 5)
	pulled, err := portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 3})
	if err != nil {
		t.Fatal(err)
	}
	var done []uint64
	for _, d := range pulled.GetDeliveries() {
		done = append(done, d.GetPacket().GetSequence())
	}
	if _, err := portal.Acknowledge(t.Context(), done...); err != nil {
		t.Fatal(err)
	}
	covering(t, ledgerOf(t, province.profile), 5)
	h.Stop()
	return h.DataDir
}

func checkOf(t *testing.T, dir string, quick bool) (hub.Checked, []hub.Finding) {
	t.Helper()
	var found []hub.Finding
	checked, err := hub.Check(t.Context(), dir, hub.CheckOptions{Quick: quick}, func(f hub.Finding) { found = append(found, f) })
	if err != nil {
		t.Fatal(err)
	}
	return checked, found
}

func rulesOf(found []hub.Finding) []pebblestore.Rule {
	var rules []pebblestore.Rule
	for _, f := range found {
		if !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	slices.Sort(rules)
	return rules
}

func TestCheckOfASoundHub(t *testing.T) {
	t.Parallel()
	dir := served(t)
	before := contents(t, dir)
	for _, quick := range []bool{false, true} {
		checked, found := checkOf(t, dir, quick)
		if len(found) > 0 || checked.Packets != 5 || checked.Last != 5 || checked.Waiting != 2 || checked.Covered != 5 {
			t.Errorf("quick %t: %+v, %+v; want 5 packets, 2 waiting, 5 covered and no finding", quick, checked, found)
		}
	}
	if after := contents(t, dir); !slices.Equal(before, after) {
		t.Errorf("files were\n%q, are\n%q", before, after)
	}
}

// contents are names and contents of all files.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, path, string(bytes.TrimRight(content, "\x00")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever of a data directory is damaged, exchanged or lost is found, and named.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	sound, other := served(t), served(t)
	flip := func(name string, at int) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content[at] ^= 1
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	lose := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			lose(name)(t, dir)
			if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(other, name))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		damage      func(*testing.T, string)
		want, quick []pebblestore.Rule
	}{
		"a bit of the journal": {
			flip("store/journal/00000000000000000000.journal", 9000),
			[]pebblestore.Rule{pebblestore.RuleDamaged, pebblestore.RuleNotCompared, pebblestore.RuleSequence},
			[]pebblestore.Rule{pebblestore.RuleDamaged, pebblestore.RuleNotCompared, pebblestore.RuleSequence},
		},
		"the index lost":            {lose("store/index"), []pebblestore.Rule{pebblestore.RuleIndexMissing}, []pebblestore.Rule{pebblestore.RuleIndexMissing}},
		"the index of another hub":  {exchange("store/index"), []pebblestore.Rule{pebblestore.RuleIndexDiffers}, []pebblestore.Rule{pebblestore.RuleIndexDiffers}},
		"the store of another hub":  {exchange("store"), []pebblestore.Rule{hub.RuleDiverged, hub.RuleSignature}, nil},
		"the ledger of another hub": {exchange("ledger"), []pebblestore.Rule{hub.RuleCheckpoint}, []pebblestore.Rule{hub.RuleCheckpoint}},
		"the ledger lost":           {lose("ledger"), []pebblestore.Rule{hub.RuleLedger}, []pebblestore.Rule{hub.RuleLedger}},
		"the authority lost":        {lose("ca"), []pebblestore.Rule{hub.RuleAuthority}, []pebblestore.Rule{hub.RuleAuthority}},
		"the issuing key lost":      {lose("ca/issuing.key"), []pebblestore.Rule{hub.RuleAuthority}, []pebblestore.Rule{hub.RuleAuthority}},
		"the authority damaged":     {flip("ca/issuing.crt", 200), []pebblestore.Rule{hub.RuleAuthority}, []pebblestore.Rule{hub.RuleAuthority}},
		"a hash of the ledger":      {flip("ledger/hashes-00", 70), []pebblestore.Rule{hub.RuleHashes}, nil},
		"the last checkpoint":       {flip("ledger/checkpoint", 20), []pebblestore.Rule{hub.RuleCheckpoint}, []pebblestore.Rule{hub.RuleCheckpoint}},
		"the ledger key lost":       {lose("ledger.key"), []pebblestore.Rule{hub.RuleKey}, []pebblestore.Rule{hub.RuleKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "hub")
			if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"ledger.key", "ca/root.key", "ca/issuing.key"} {
				if err := os.Chmod(filepath.Join(dir, key), 0o600); err != nil { // which CopyFS does not keep
					t.Fatal(err)
				}
			}
			tc.damage(t, dir)
			for quick, want := range map[bool][]pebblestore.Rule{false: tc.want, true: tc.quick} {
				_, found := checkOf(t, dir, quick)
				if name == "the index of another hub" && slices.Equal(rulesOf(found), []pebblestore.Rule{pebblestore.RuleIndexAhead}) {
					continue // that hub's journal happens to be some bytes longer
				}
				if !slices.Equal(rulesOf(found), want) {
					t.Errorf("quick %t: %+v; want %v", quick, found, want)
				}
			}
		})
	}
}

func TestCheckOfNoHub(t *testing.T) {
	t.Parallel()
	_, err := hub.Check(t.Context(), t.TempDir(), hub.CheckOptions{}, func(hub.Finding) {})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v; want fs.ErrNotExist", err)
	}
}

// A quick check, too, sees that the contents of large packets are there as a whole; one
// that is not quick counts what it has read of them.
func TestCheckOfLargeContents(t *testing.T) {
	t.Parallel()
	h, _, _, content := withLarge(t)
	h.Stop()
	checked, found := checkOf(t, h.DataDir, false)
	if len(problems(found)) > 0 || checked.Bytes < int64(len(content)) {
		t.Errorf("%+v, %+v; want no finding, and at least the %d bytes of the large content", checked, found, len(content))
	}
	if checked, found = checkOf(t, h.DataDir, true); len(problems(found)) > 0 || checked.Bytes > int64(len(content)) {
		t.Errorf("quick: %+v, %+v; want no finding, and none of the bytes of the large content", checked, found)
	}
	files, err := filepath.Glob(filepath.Join(h.DataDir, "blobs", "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v; want the one file with the content", files, err)
	}
	if err := os.Truncate(files[0], int64(len(content))); err != nil {
		t.Fatal(err)
	}
	want := []pebblestore.Rule{hub.RuleLarge}
	for _, quick := range []bool{false, true} {
		if _, found := checkOf(t, h.DataDir, quick); !slices.Equal(rulesOf(problems(found)), want) {
			t.Errorf("quick %t, of a content cut short: %+v; want %v", quick, found, want)
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	for _, quick := range []bool{false, true} {
		if _, found := checkOf(t, h.DataDir, quick); !slices.Equal(rulesOf(problems(found)), want) {
			t.Errorf("quick %t, of a content that is lost: %+v; want %v", quick, found, want)
		}
	}
}

// problems are findings that are no notices.
func problems(found []hub.Finding) []hub.Finding {
	return slices.DeleteFunc(found, func(f hub.Finding) bool { return f.Notice })
}
