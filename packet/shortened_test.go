package packet_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func warnings(count int) []*packetv1.Finding {
	all := make([]*packetv1.Finding, count)
	for i := range all {
		all[i] = &packetv1.Finding{
			Severity: packetv1.Severity_SEVERITY_WARNING, Field: "Progress.Status", Rule: "unknown",
			MessageEn: fmt.Sprintf("%d %s", i, strings.Repeat("e", i%50)), MessageVi: fmt.Sprintf("%d %s", i, strings.Repeat("ê", i%40)),
		}
	}
	return all
}

func sizeOf(findings []*packetv1.Finding) int {
	return proto.Size(&exchangev1.Statement{Warnings: findings})
}

// Findings that have room stay as they are; of others the first stay, and the last
// says how many there were, in both languages. They never take more than they may.
func TestShortened(t *testing.T) {
	t.Parallel()
	const most = 8 << 10
	for _, count := range []int{0, 1, 30, 60, 70, 80, 100, 1000} {
		all := warnings(count)
		got := packet.Shortened(all, most)
		if size := sizeOf(got); size > most {
			t.Errorf("%d findings take %d bytes; want at most %d", count, size, most)
		}
		if sizeOf(all) <= most {
			if len(got) != count {
				t.Errorf("of %d findings that have room, %d are left", count, len(got))
			}
			continue
		}
		last := got[len(got)-1]
		more := fmt.Sprint(count - (len(got) - 1))
		if last.GetRule() != "limit.findings" || last.GetField() != "Progress" || last.GetSeverity() != packetv1.Severity_SEVERITY_WARNING ||
			!strings.HasPrefix(last.GetMessageEn(), more+" more warnings") || !strings.Contains(last.GetMessageVi(), more+" cảnh báo") {
			t.Errorf("%d of %d findings are followed by %v; want that there are %s more", len(got)-1, count, last, more)
		}
	}
}

// What reading itself has not shown stays counted.
func TestShortenedKeepsWhatWasCountedBefore(t *testing.T) {
	t.Parallel()
	const most, count = 8 << 10, 500
	counted := &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_WARNING, Rule: "limit.findings", MessageEn: "7 more warnings are not shown"}
	got := packet.Shortened(append(warnings(count), counted), most)
	if size := sizeOf(got); size > most {
		t.Errorf("the findings take %d bytes; want at most %d", size, most)
	}
	own := got[len(got)-2].GetMessageEn()
	if want := fmt.Sprintf("%d more", count-(len(got)-2)); got[len(got)-1] != counted || !strings.HasPrefix(own, want) {
		t.Errorf("the last are %q and %v; want %q and what was there", own, got[len(got)-1], want)
	}
}
