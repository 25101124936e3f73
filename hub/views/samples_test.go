package views_test

import (
	"testing"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/packet/samples"
)

// The packets that senders are given to try things with tell whole stories.
func TestSamplesTellTheirStories(t *testing.T) {
	t.Parallel()
	b := follow(t)
	for _, sample := range samples.Good() {
		read, err := b.codec.Decode(sample.Type, sample.Format, sample.Content)
		if err != nil {
			t.Fatalf("%s: %v", sample.Name, err)
		}
		b.acceptContent(read.Organisation().Level1().String(), sample.Type, sample.Format, sample.Content)
	}
	for _, code := range []string{"000.00.04.H41-261102-0007", "G12.18-261103-0012"} {
		d := b.dossier(code)
		b.wantStatus(code, 10)
		if d.GetApplicantMasked() == "" || d.GetProcedureName() == "" || d.GetReceivedAt() == nil || d.GetReturnedAt() == nil {
			t.Errorf("dossier %s lacks something: %v", code, d)
		}
		kinds := map[viewv1.StepKind]int{}
		for _, s := range d.GetSteps() {
			kinds[s.GetKind()]++
		}
		if kinds[received] != 1 || kinds[progress] != 1 || kinds[returned] != 1 {
			t.Errorf("steps of %s are %v; reception, progress and return, once each, were expected", code, kinds)
		}
	}
	for _, organisation := range []string{"H41", "G12"} {
		if n := len(b.statistics(organisation, 0)); n != 1 {
			t.Errorf("%s has statistics of %d periods, 1 was expected", organisation, n)
		}
		if n := len(b.surveys(organisation, 0)); n != 1 {
			t.Errorf("%s has %d surveys, 1 was expected", organisation, n)
		}
	}
	b.stop()
	if b.log.Len() > 0 {
		t.Errorf("packets were passed over:\n%s", b.log)
	}
}
