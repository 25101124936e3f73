package packet_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func fieldTables(t testing.TB, language packet.Language, types ...packetv1.PacketType) string {
	t.Helper()
	page, err := packet.FieldTables(language, types...)
	if err != nil {
		t.Fatalf("field tables: %v", err)
	}
	return string(page)
}

func TestCommittedFieldTablesAreWhatTheProtosSay(t *testing.T) {
	t.Parallel()
	for language, file := range map[packet.Language]string{packet.English: "../docs/packets.md", packet.Vietnamese: "../docs/packets.vi.md"} {
		committed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, []byte(fieldTables(t, language))) {
			t.Errorf("%s is not what the protos say: run make docs", file)
		}
	}
}

func TestFieldTablesHaveEveryFieldOfEveryDocument(t *testing.T) {
	t.Parallel()
	for _, language := range []packet.Language{packet.Vietnamese, packet.English} {
		sections := sectionsOf(fieldTables(t, language))
		eachField(func(message string, _ bool, e *packetv1.Element, fd protoreflect.FieldDescriptor) {
			row := regexp.MustCompile(`(?m)^\| \d+ \| .` + e.GetName() + `. \|.*$`).FindString(sections[message])
			meaning := e.GetEn()
			if language == packet.Vietnamese {
				meaning = e.GetVi()
			}
			if row == "" || !strings.Contains(row, "| "+meaning) || e.GetRequired() && !fd.IsList() != strings.Contains(row, " | 1 | ") {
				t.Errorf("%s: %s.%s has the row %q", language, message, e.GetName(), row)
			}
			for _, alias := range e.GetAliases() {
				if !strings.Contains(row, "`"+alias+"`") {
					t.Errorf("%s: %s.%s: the row does not tell of %s", language, message, e.GetName(), alias)
				}
			}
		})
	}
}

// sectionsOf returns the sections of a page by their headings.
func sectionsOf(page string) map[string]string {
	sections := map[string]string{}
	for _, section := range strings.Split(page, "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	return sections
}

func TestFieldTablesTellWhatRulesRefuseAndWhatIsRead(t *testing.T) {
	t.Parallel()
	english, vietnamese := fieldTables(t, packet.English), fieldTables(t, packet.Vietnamese)
	for _, want := range []string{
		"| `Total` | is not NewReception + PreExtisting | warning; refused in strict reading | `statistic.total` |",
		"| `DocCode` | is not of the form &lt;organisation&gt;-yyMMdd-&lt;number&gt; | warning, also in strict reading | `dossier.doc_code` |",
		"| `SuccessDate` | is required once IsSuccess is true | **refused** | `dossier.success_date` |",
		"10 result returned (final)", "at most 100 MiB once decoded", "at most 100 characters", "| \\* |",
		"| XML | `23/10/2018 09:15:00` | warning; refused in strict reading | `2018-10-23T09:15:00.000+07:00` |",
		"| XML | `0000-00-00T00:00:00.000+0700` | read | *(empty)* |",
		"| XML | `NaN` | warning; refused in strict reading | *(empty)* | holds no value; it was read as absent |",
		"| JSON | `\"True\"` | warning; refused in strict reading | `true` |", "| XML | `95,5` | **refused** |",
		"| XML | `h41.01.02` | warning; refused in strict reading | `H41.01.02` |", "`limit.depth`", "As XML, sample `survey.xml`:",
		"| XML | `<![CDATA[A & B]]>` | read | `A &amp; B` |", "| JSON | `null` | read | *(left out)* |", "| XML | `JVBE⏎Ri0x` | read | `JVBE⏎Ri0x` |",
		"| XML | `80.000` | warning, also in strict reading | `80.000` |", "| XML in UTF-16 with BOM | read |", "| XML in UTF-16 without BOM | **refused** |",
	} {
		if !strings.Contains(english, want) {
			t.Errorf("English lacks %s", want)
		}
	}
	for _, want := range []string{"| `Total` | không bằng NewReception + PreExtisting | cảnh báo; bị từ chối khi đọc chặt chẽ |", "10 Đã trả kết quả (kết thúc)", "| XML | `95,5` | **từ chối** |"} {
		if !strings.Contains(vietnamese, want) {
			t.Errorf("Vietnamese lacks %s", want)
		}
	}
	if found := regexp.MustCompile(`make docs|\]\([^#)]|[Nn]út|ngặt`).FindString(english + vietnamese); found != "" {
		t.Errorf("the page has %q, which leads nowhere on a terminal or is no word of ours", found)
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(vietnamese+english, -1) {
		heading := regexp.MustCompile(`(?mi)^#+ ` + strings.ReplaceAll(regexp.QuoteMeta(link[1]), "-", "[ -]") + `$`)
		if !heading.MatchString(vietnamese) && !heading.MatchString(english) {
			t.Errorf("a link leads to %s, where nothing is", link[1])
		}
	}
}

func TestFieldTablesOfSomePacketsHaveNoOthers(t *testing.T) {
	t.Parallel()
	page := fieldTables(t, packet.English, survey)
	if sections := sectionsOf(page); len(sections) != 2 || sections["MVotes"] == "" || sections["Question"] == "" {
		t.Errorf("got sections of another number or name:\n%s", page)
	}
	if _, err := packet.FieldTables("fr"); err == nil || !strings.Contains(err.Error(), `"fr"`) {
		t.Errorf("in a language there is not: %v", err)
	}
	if _, err := packet.FieldTables(packet.English, packetv1.PacketType_PACKET_TYPE_UNSPECIFIED); err == nil {
		t.Error("of no packet: got tables, want an error")
	}
}
