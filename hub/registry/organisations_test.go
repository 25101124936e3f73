package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/registry"
)

func put(pairs ...string) *registryv1.PutOrganisationsRequest {
	req := &registryv1.PutOrganisationsRequest{}
	for i := 0; i < len(pairs); i += 2 {
		req.Organisations = append(req.Organisations, &registryv1.Organisation{Code: pairs[i], Name: pairs[i+1]})
	}
	return req
}

func TestANewHubKnowsTheOfficialCodeList(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	answer, err := h.ListOrganisations(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := answer.GetOrganisations()
	if len(all) != 85 || all[0].GetCode() != "G01" || all[84].GetCode() != "H63" {
		t.Errorf("%d organisations from %v to %v; want 22 ministries and 63 provinces", len(all), all[0], all[len(all)-1])
	}
	if name := h.OrganisationName(organisation(t, "000.00.00.H41")); name != "UBND tỉnh Nghệ An" {
		t.Errorf("H41 is called %q", name)
	}
	if name := h.OrganisationName(organisation(t, "H41.04")); name != "" {
		t.Errorf("an organisation that is not registered is called %q", name)
	}
}

func TestWhatAnAdministratorChangedIsNotSeededAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if _, err := h.PutOrganisations(t.Context(), put("H41", "Nghệ An")); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	if name := h.OrganisationName(organisation(t, "H41")); name != "Nghệ An" {
		t.Errorf("after a restart H41 is called %q; want what the administrator wrote", name)
	}
}

func TestPutOrganisationsCountsWhatItDid(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	answer, err := h.PutOrganisations(t.Context(), put("000.00.04.H41", "Sở Tư pháp", "h42", "UBND tỉnh Ninh Bình", "H43", "Mới"))
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetAdded() != 1 || answer.GetChanged() != 1 {
		t.Errorf("added %d, changed %d; want 1 and 1: H42 is as it was", answer.GetAdded(), answer.GetChanged())
	}
	if name := h.OrganisationName(organisation(t, "H41.04")); name != "Sở Tư pháp" {
		t.Errorf("H41.04 is called %q", name)
	}
}

func TestPutOrganisationsNamesEveryViolation(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, err := h.PutOrganisations(t.Context(), put(
		"H41.01", "một", "NGHEAN", "hai", "000.00.01.H41", "ba", "H41.02", " ", "H41.03", "a\u202eb", "", ""))
	got := wantRefusal(t, err, codes.InvalidArgument, "organisations_invalid")
	var fields []string
	for _, f := range got.Findings {
		fields = append(fields, f.GetField())
	}
	want := "organisations[1].code organisations[2].code organisations[3].name organisations[4].name organisations[5].name organisations[5].code"
	if strings.Join(fields, " ") != want {
		t.Errorf("violations at %q\nwant %q", fields, want)
	}
	if name := h.OrganisationName(organisation(t, "H41.01")); name != "" {
		t.Error("a request with violations was written in part")
	}
}

// A refusal has to fit into a trailer whatever was sent.
func TestARefusalListsABoundedNumberOfViolations(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	req := &registryv1.PutOrganisationsRequest{}
	for range 5000 {
		req.Organisations = append(req.Organisations, &registryv1.Organisation{Code: strings.Repeat("x", 32), Name: "x"})
	}
	_, err := h.PutOrganisations(t.Context(), req)
	got := wantRefusal(t, err, codes.InvalidArgument, "organisations_invalid")
	if len(got.Findings) > 50 || !strings.Contains(got.EN, "5000 violations") || !strings.Contains(got.VI, "5000") {
		t.Errorf("%d findings under %q, %q", len(got.Findings), got.EN, got.VI)
	}
}

func TestReadOrganisations(t *testing.T) {
	t.Parallel()
	rows := func(n int) string {
		var text strings.Builder
		text.WriteString("code,name_vi\n")
		for i := range n {
			fmt.Fprintf(&text, "H41.%d.%d,x\n", i/999+1, i%999+1)
		}
		return text.String()
	}
	for name, c := range map[string]struct {
		content string
		codes   string // of what is read
		lines   string // of what is wrong
	}{
		"two columns":            {"code,name_vi\nH41,Nghệ An\nG12.18,Cục Thuế\n", "H41 G12.18", ""},
		"official columns":       {"code,level,kind,name_vi\n000.00.18.G12,2,agency,\"Cục Thuế, Hà Nội\"\n", "G12.18", ""},
		"columns in any order":   {" Name_VI ,CODE\r\nNghệ An,H41\r\n", "H41", ""},
		"byte order mark":        {"\ufeffcode,name_vi\nH41,Nghệ An\n", "H41", ""},
		"no end of line":         {"code,name_vi\nH41,Nghệ An", "H41", ""},
		"empty lines":            {"code,name_vi\n\n\nH41,Nghệ An\n\n", "H41", ""},
		"nothing":                {"", "", "1"},
		"header only":            {"code,name_vi\n", "", "0"},
		"other header":           {"ma,ten\nH41,x\n", "", "1"},
		"semicolons":             {"code;name_vi\nH41;x\n", "", "1"},
		"bad code":               {"code,name_vi\nH41,x\nNGHEAN,y\n", "", "3"},
		"no name":                {"code,name_vi\nH41,\n", "", "2"},
		"code and name":          {"code,name_vi\nX,\n", "", "2 2"},
		"too few columns":        {"code,name_vi\nH41\nH42,x\nH43,x,y\n", "", "2 4"},
		"twice":                  {"code,name_vi\nH41,x\nH42,x\n000.00.00.H41,y\n", "", "4"},
		"name over the limit":    {"code,name_vi\nH41," + strings.Repeat("ệ", 301) + "\n", "", "2"},
		"name at the limit":      {"code,name_vi\nH41," + strings.Repeat("ệ", 300) + "\n", "H41", ""},
		"not UTF-8":              {"code,name_vi\nH41,Ngh\xea An\n", "", "2"},
		"escape sequence":        {"code,name_vi\nH41,\x1b[31mred\n", "", "2"},
		"stray quote, then more": {"code,name_vi\nH41,a\"b\nH42,x\nY,x\n", "", "2 4"},
		"quote left open":        {"code,name_vi\nH41,\"a\nH42,x\n", "", "2"},
		"name over two lines":    {"code,name_vi\nH41,\"a\nb\"\nY,x\n", "", "2 4"},
		"too many":               {rows(20_001), "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := registry.ReadOrganisations(strings.NewReader(c.content))
			var read, lines []string
			for _, o := range all {
				read = append(read, o.GetCode())
			}
			if err != nil {
				for _, f := range fault.From(err).Findings {
					lines = append(lines, fmt.Sprint(f.GetLine()))
				}
			}
			if strings.Join(read, " ") != c.codes || strings.Join(lines, " ") != c.lines {
				t.Errorf("read %q, mistakes in lines %q; want %q, %q (%v)", read, lines, c.codes, c.lines, err)
			}
		})
	}
	if all, err := registry.ReadOrganisations(strings.NewReader(rows(20_000))); err != nil || len(all) != 20_000 {
		t.Errorf("of 20000 organisations %d are read, %v", len(all), err)
	}
}

func TestAListOverTheSizeLimitIsRefused(t *testing.T) {
	t.Parallel()
	_, err := registry.ReadOrganisations(strings.NewReader("code,name_vi\n" + strings.Repeat("\n", 16<<20)))
	wantRefusal(t, err, codes.InvalidArgument, "organisations_invalid")
}

// Whatever a file holds: it is read, or refused with at least one finding.
func FuzzReadOrganisations(f *testing.F) {
	for _, seed := range []string{"code,name_vi\nH41,Nghệ An\n", "\ufeffname_vi,code\n\"a\n\",H1.2.3", "code,name_vi\nH41,\"", "code,code,name_vi\n,,\n", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		all, err := registry.ReadOrganisations(strings.NewReader(content))
		if err != nil {
			if got := fault.From(err); got.Code != codes.InvalidArgument || len(got.Findings) == 0 {
				t.Fatalf("refused without saying why: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, o := range all {
			if organisation(t, o.GetCode()).String() != o.GetCode() || o.GetName() == "" || seen[o.GetCode()] {
				t.Fatalf("read %v, which is not canonical, has no name, or is there twice", o)
			}
			seen[o.GetCode()] = true
		}
	})
}
