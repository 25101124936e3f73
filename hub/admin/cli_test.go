package admin_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/hub/registry"
)

// An administrator's day, from an empty hub to a node that may exchange, and its end.
func TestANodeIsRegisteredGrantedSuspendedAndRevoked(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	wantIn(t, h.ok("node", "list"), "No nodes yet", "lienthong admin node add")
	wantIn(t, h.ok("right", "list"), "No rights yet", "lienthong admin right grant")

	out := h.ok("node", "add", "000.00.00.H41/motcua", "--kind", "one-stop", "--description", "Một cửa điện tử Nghệ An")
	wantIn(t, out, "Node H41/motcua is registered", "once, until 20")
	token := regexp.MustCompile(`(?m)^lienthong node join --token (lt1\.[A-Za-z0-9_-]+) --profile H41-motcua$`).FindStringSubmatch(out)
	if token == nil {
		t.Fatalf("no line to join with in:\n%s", out)
	}
	if strings.Contains(h.log.String(), token[1][8:]) {
		t.Error("the token stands in the log")
	}
	wantIn(t, h.log.String(), `change="create node" by=admin:an node=000.00.00.H41/motcua`)
	h.ok("node", "add", "G22/portal", "--kind", "portal")
	h.ok("node", "add", "G05/dkkd", "--kind", "DATABASE")

	right := h.ok("right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "dossier,progress", "--expires", "2127-01-01")
	wantIn(t, right, "H41", "G22/portal", "dossier, progress", "2127-01-01 00:00 +07")
	wantIn(t, h.ok("right", "grant", "--from", "H41.04", "--to", "G22/portal", "--type", "all"), "dossier, progress, survey, statistic", "never")
	h.ok("right", "grant", "--from", "H41", "--to", "G05/dkkd", "--service", "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise")
	wantIn(t, h.ok("right", "list"), "EnterpriseService/LookUpEnterprise", "H41.04")
	id := strings.Fields(strings.Split(right, "\n")[1])[0]
	wantIn(t, h.ok("right", "revoke", id), "Right "+id+" is taken back")
	if list := h.ok("right", "list"); strings.Contains(list, id) {
		t.Errorf("right %s was taken back and is listed:\n%s", id, list)
	}

	wantIn(t, h.ok("node", "revoke", "000.00.00.G22/portal"), "Dry run: nothing was changed", "which end with it: 1", "lienthong admin node revoke G22/portal --yes")
	wantIn(t, h.ok("node", "list"), "H41/motcua", "one-stop", "pending", "Một cửa điện tử Nghệ An")
	wantIn(t, h.ok("node", "show", "000.00.00.H41/motcua"), "ID                H41/motcua", "STATE             pending", "WAITING           0\n", "Một cửa điện tử Nghệ An")
	if list := h.ok("node", "list"); strings.Contains(list, "revoked") {
		t.Errorf("a dry run revoked a node:\n%s", list)
	}
	wantIn(t, h.ok("node", "revoke", "G22/portal", "--yes"), "Node G22/portal is now revoked")
	wantIn(t, h.refused("node", "activate", "G22/portal"), "node G22/portal is revoked and cannot be activated: that is final", "đã bị thu hồi", "lienthong admin node list")
	wantIn(t, h.refused("node", "suspend", "H41/motcua"), "join with its token first", "Next:")
}

func TestAJoinedNodeIsSuspendedAndActivated(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	credentials := h.join("H41/motcua")
	wantIn(t, h.ok("node", "suspend", "H41/motcua"), "Node H41/motcua is now suspended")
	wantIn(t, h.ok("node", "activate", "H41/motcua"), "Node H41/motcua is now active")

	// A node's own profile is no administrator's.
	_, err := run(t, "", "node", "list", "--profile", h.saveProfile(credentials))
	if err == nil {
		t.Fatal("a node may list nodes")
	}
	wantIn(t, err.Error(), "not for callers of this kind (node)", "không dành cho", "administrator's profile")
}

// The table says how a node's packets are read, after every way to say so.
func TestStrictNodes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reading := func(out, id string) string {
		t.Helper()
		at := strings.Index(out, "READING")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, id+" ") && at >= 0 {
				return strings.TrimSpace(line[at:min(at+len("READING  "), len(line))])
			}
		}
		t.Fatalf("no reading of %s in:\n%s", id, out)
		return ""
	}
	h.ok("node", "add", "H41/motcua", "--kind", "one-stop", "--description", "Một cửa")
	h.ok("node", "add", "G22/portal", "--kind", "portal", "--strict")
	for _, step := range []struct {
		args, want string
	}{
		{"node list", "as hub"},
		{"node set H41/motcua --strict", "strict"},
		{"node set H41/motcua --strict=true", "strict"},
		{"node set 000.00.00.H41/motcua --description Cũ", "strict"},
		{"node list", "strict"},
		{"node set H41/motcua --strict=false", "as hub"},
		{"node list", "as hub"},
	} {
		if got := reading(h.ok(strings.Fields(step.args)...), "H41/motcua"); got != step.want {
			t.Errorf("admin %s shows reading %q; want %q", step.args, got, step.want)
		}
	}
	list := h.ok("node", "list")
	wantIn(t, list, "Cũ")
	if got := reading(list, "G22/portal"); got != "strict" {
		t.Errorf("a node added with --strict is read %q", got)
	}
	var changed struct {
		Node struct {
			ID, Description string
			Strict          *bool
		}
	}
	out := h.ok("node", "set", "G22/portal", "--strict=false", "--description", "", "-o", "json")
	if err := json.Unmarshal([]byte(out), &changed); err != nil || changed.Node.ID != "G22/portal" || changed.Node.Strict == nil || *changed.Node.Strict {
		t.Errorf("%v in:\n%s", err, out)
	}
	wantIn(t, h.log.String(),
		`change="create node" by=admin:an node=G22/portal kind=NODE_KIND_PORTAL strict=true`,
		`msg="registry changed" change="update node" by=admin:an node=H41/motcua description=false strict_before=false strict=true`,
		`change="update node" by=admin:an node=H41/motcua description=true strict_before=true strict=true`,
		`change="update node" by=admin:an node=G22/portal description=false strict_before=true strict=false`)
	if n := strings.Count(h.log.String(), `change="update node" by=admin:an node=H41/motcua`); n != 3 {
		t.Errorf("%d changes of H41/motcua are logged; want the 3 that changed something:\n%s", n, h.log.String())
	}
	h.refused("node", "set", "H41/nobody", "--strict")
	wantIn(t, h.log.String(), `msg="registry not changed" change="update node" by=admin:an node=H41/nobody code=NotFound`)
}

// Where the hub itself is strict, that is said wherever a node's reading is.
func TestStrictHub(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *registry.Config) { c.StrictHub = true })
	h.ok("node", "add", "H41/motcua", "--kind", "one-stop")
	wantIn(t, h.ok("node", "list"), "strict (hub)")
	const en, vi = "The hub itself runs with --strict: it reads packets of H41/motcua strictly all the same", "vẫn đọc chặt chẽ gói tin của hệ thống H41/motcua"
	wantIn(t, h.ok("node", "set", "H41/motcua", "--strict=false"), "strict (hub)", en, vi)
	if out := h.ok("node", "set", "H41/motcua", "--strict"); strings.Contains(out, "(hub)") || strings.Contains(out, en) {
		t.Errorf("a node that is strict itself is shown as\n%s", out)
	}
	for _, command := range []string{"node list", "node set H41/motcua --strict=false"} {
		var answer struct{ HubStrict *bool }
		if err := json.Unmarshal([]byte(h.ok(append(strings.Fields(command), "-o", "json")...)), &answer); err != nil || answer.HubStrict == nil || !*answer.HubStrict {
			t.Errorf("%s as JSON: %v, hubStrict %v", command, err, answer.HubStrict)
		}
	}
	wantIn(t, h.ok("node", "revoke", "H41/motcua"), "strict (hub)")
}

// A command line that names no command is an error also where help is asked for.
func TestMisnamedCommandsAreErrorsWithHelpToo(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"org list --help": "", "node": "", "--help": "", "help node": "", "help": "", "completion": "", "node add H41/x --help": "",
		"organisation --help": "org", "organisation list --help": "org", "help organisation": "org", "--profile org node lst -h": "list",
		"node --profile node acivate --help": "activate",
	} {
		_, err := admin.Misnamed(admin.Commands(), strings.Fields(args))
		var misused admin.UsageError
		switch {
		case want == "" && err != nil:
			t.Errorf("admin %s: %v", args, err)
		case want != "" && (!errors.As(err, &misused) || !strings.Contains(err.Error(), "did you mean "+want)):
			t.Errorf("admin %s: %v; want it to suggest %s", args, err, want)
		}
	}
}

// join registers a node and joins as it over the network.
func (h *hub) join(id string) *certs.Credentials {
	h.t.Helper()
	answer, err := h.registry.CreateNode(h.t.Context(), &registryv1.CreateNodeRequest{Id: id, Kind: registryv1.NodeKind_NODE_KIND_ONE_STOP})
	if err != nil {
		h.t.Fatal(err)
	}
	token := readToken(h.t, answer.GetToken())
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		h.t.Fatal(err)
	}
	joined, err := h.enrolment([32]byte(token.GetRootSha256())).Join(h.t.Context(), &enrolmentv1.JoinRequest{
		Node: id, Secret: token.GetSecret(), CertificateRequest: request,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	credentials, err := certs.ParseCredentials(key, joined.GetCertificateChain(), joined.GetRoots())
	if err != nil {
		h.t.Fatal(err)
	}
	return credentials
}

func TestImportTakesAllOrNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	file := filepath.Join(t.TempDir(), "agencies.csv")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("code,name_vi\nH41.04,Sở Tư pháp Nghệ An\nNGHEAN,Sở lạ\nH41.05\n000.00.04.H41,Lại Sở Tư pháp\nH41.06,\n")
	said := h.refused("org", "import", file)
	wantIn(t, said, "agencies.csv", "4 mistakes", "có 4 lỗi", "line 3: code: ", "line 4: 1 columns", "line 5: code: H41.04 stands in line 2", "line 6: name_vi: a name is required", "phải có tên")
	if list := h.ok("org", "list"); strings.Contains(list, "H41.04") {
		t.Errorf("a list with mistakes was written:\n%s", list)
	}
	write("\ufeffcode,level,kind,name_vi\r\n000.00.04.H41,2,department,Sở Tư pháp Nghệ An\r\nH41,1,province,UBND tỉnh Nghệ An mới\r\nH42,1,province,UBND tỉnh Ninh Bình\r\n")
	wantIn(t, h.ok("org", "import", file), "organisations added: 1, renamed: 1, there already: 1")
	wantIn(t, h.ok("org", "list"), "H41.04  Sở Tư pháp Nghệ An", "UBND tỉnh Nghệ An mới")

	out, err := run(t, "code,name_vi\nH41.05,Sở Y tế\n", "org", "import", "-", "--profile", h.profile)
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, out, "organisations added: 1")
	wantIn(t, h.refused("org", "import", filepath.Join(t.TempDir(), "none.csv")), "none.csv", "no such file")
	write("ma,ten\nH41,x\n")
	wantIn(t, h.refused("org", "import", file), "line 1: ", "code,name_vi or code,level,kind,name_vi")
}

func TestJSONIsOneObject(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var created struct {
		Node  struct{ ID, State string }
		Token string
	}
	read := func(out string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v in:\n%s", err, out)
		}
	}
	read(h.ok("node", "add", "H41/motcua", "--kind", "one-stop", "--output", "json"), &created)
	if created.Node.ID != "H41/motcua" || created.Node.State != "NODE_STATE_PENDING" || readToken(t, created.Token).GetNode() != "H41/motcua" {
		t.Errorf("node add printed %+v", created)
	}
	var listed struct{ Organisations []struct{ Code, Name string } }
	read(h.ok("org", "list", "-o", "json"), &listed)
	if len(listed.Organisations) != 85 || listed.Organisations[0].Code != "G01" || listed.Organisations[0].Name != "Bộ Công an" {
		t.Errorf("org list printed %d organisations", len(listed.Organisations))
	}
	var rights struct{ Rights []any }
	read(h.ok("right", "list", "-o", "json"), &rights)
	if rights.Rights == nil {
		t.Error("right list printed no list")
	}
}

// Whatever goes wrong says what, and what to do next.
func TestRefusalsSayTheNextStep(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.ok("node", "add", "G22/portal", "--kind", "portal")
	for args, wanted := range map[string][]string{
		"node add H41.04/motcua --kind portal":                                   {"H41.04 is not registered", "chưa được đăng ký", "Next: register it with lienthong admin org import"},
		"node add H41/MotCua --kind portal":                                      {"id: ", "a-z, 0-9 and hyphens", "tên hệ thống chỉ gồm"},
		"node add H41/motcua --kind desk":                                        {`--kind "desk"`, "portal, one-stop, database, hub"},
		"node add H41/motcua":                                                    {"--kind", "portal, one-stop, database, hub"},
		"node add":                                                               {"one argument: a node id, e.g. H41/motcua; got 0"},
		"node add G22/portal --kind portal":                                      {"registered already and has not joined yet", "chưa hoàn tất đăng ký", "Next: choose another name", "lienthong admin node token", "lienthong admin node list"},
		"node suspend H41/nowhere":                                               {"H41/nowhere is not registered", "chưa được đăng ký", "lienthong admin node list"},
		"node set H41/nowhere --strict":                                          {"H41/nowhere is not registered", "chưa được đăng ký", "lienthong admin node list"},
		"node set G22/portal":                                                    {"nothing to change", "--strict=true, --strict=false, --packets-per-second N"},
		"node set G22/portal --strict true":                                      {"one argument", "--strict=true, --strict=false"},
		"node set G22/portal --description \x1b[2J":                              {"description: control characters", "ký tự điều khiển"},
		"node revoke H41/nowhere":                                                {"H41/nowhere is not registered", "chưa được đăng ký", "lienthong admin node list"},
		"right grant":                                                            {"--from is required", "--to is required", "--type or --service is required"},
		"right grant --from H41 --to G22/portal --type hoso":                     {"dossier, progress, survey, statistic, all"},
		"right grant --from H99 --to G22/none --type all":                        {"2 violations", "right.sender: organisation H99", "right.receiver: node G22/none", "lienthong admin org list"},
		"right grant --from H41 --to G22/portal --service x.Y/Z":                 {"no database", "không phải cơ sở dữ liệu"},
		"right grant --from H41 --to G22/portal --type all --expires tomorrow":   {"2027-01-01T12:00:00+07:00"},
		"right grant --from H41 --to G22/portal --type all --expires 2001-01-01": {"in the future", "tương lai"},
		"right revoke 12":                                                        {"no right", "lienthong admin right list"},
		"node list --output yaml":                                                {"--output yaml: table or json is expected"},
		"node list --timeout 0s":                                                 {"--timeout 0s"},
		"node list please":                                                       {"takes no arguments"},
		"nodes":                                                                  {`"nodes" is not a command`, "did you mean node"},
		"organisation list":                                                      {`"organisation" is not a command`, "did you mean org?"},
		"node frobnicate":                                                        {`"frobnicate" is not a command of "admin node"; there are activate, add, list, revoke, set, show, suspend, token`},
		"node set G22/portal --strict=maybe":                                     {`--strict "maybe": true or false is expected`},
		"node list --timeout 3":                                                  {`--timeout "3": a time with its unit, e.g. 30s or 2m, is expected`},
		"node list --timeout 1ns":                                                {"did not answer in time", "--timeout"},
		"org import a.csv b.csv":                                                 {"one argument"},
		"org import no-such-file.c":                                              {"no-such-file.c"},
	} {
		t.Run(args, func(t *testing.T) {
			said := h.refused(strings.Fields(args)...)
			wantIn(t, said, wanted...)
			for _, raw := range []string{"strconv", "invalid argument", "arg(s)", "PENDING", "NODE_STATE"} {
				if strings.Contains(said, raw) {
					t.Errorf("%q stands in:\n%s", raw, said)
				}
			}
		})
	}
}

func TestProfilesThatDoNotHelp(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, err := run(t, "", "node", "list", "--profile", filepath.Join(t.TempDir(), "none"))
	if err == nil {
		t.Fatal("no profile is needed")
	}
	wantIn(t, err.Error(), "no administrator's profile in", "không có hồ sơ quản trị viên", "Next: ", "--profile DIR", admin.ProfileVariable)
	if strings.Contains(err.Error(), "load") || strings.Contains(err.Error(), "open ") {
		t.Errorf("raw error: %v", err)
	}
	_, err = run(t, "", "node", "list", "--profile", t.TempDir())
	if err == nil {
		t.Fatal("an empty directory is a profile")
	}
	wantIn(t, err.Error(), ": "+certs.HubFile+" is missing")

	// A profile of another hub: the server is not taken for the right one.
	other, err := certs.Create(filepath.Join(t.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: "other.test", HubName: "other"})
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := other.IssueAdmin("an", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(t, "", "node", "list", "--profile", h.saveProfile(credentials))
	if err == nil {
		t.Fatal("a stranger may list nodes")
	}
	wantIn(t, err.Error(), "cannot be reached", "không kết nối được", "unknown authority", "Next:")
	if strings.Contains(err.Error(), "rpc error") || strings.Contains(err.Error(), "desc =") {
		t.Errorf("raw error: %v", err)
	}
}

func TestHelpNamesEveryCommandWithAnExample(t *testing.T) {
	t.Parallel()
	count := 0
	commands := admin.Commands().Commands()
	for len(commands) > 0 {
		cmd := commands[0]
		commands = append(commands[1:], cmd.Commands()...)
		count++
		if cmd.Long == "" || !strings.Contains(cmd.Example, "lienthong "+cmd.CommandPath()) && !strings.Contains(cmd.Example, "lienthong admin") {
			t.Errorf("%s lacks a long help or an example", cmd.CommandPath())
		}
	}
	if count != 16 {
		t.Errorf("%d commands; want 16", count)
	}
}
