package views

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
)

// maxSteps bounds the timeline of one dossier: the newest are kept.
const maxSteps = 500

// stepsOf returns the steps that a dossier packet's dates tell of.
func stepsOf(from source, m *packetv1.MSyncDocument) []*viewv1.Step {
	var steps []*viewv1.Step
	tell := func(kind viewv1.StepKind, at *timestamppb.Timestamp, position string) {
		if at = moment(at); at == nil {
			return
		}
		steps = append(steps, &viewv1.Step{
			At: at, Sequence: from.sequence, Kind: kind, Position: position,
			OrganisationName: clip(m.GetOrganInchargeName(), longText),
		})
	}
	tell(viewv1.StepKind_STEP_KIND_RECEIVED, m.GetDateReceived(), "")
	for _, at := range supplementDates(m) {
		tell(viewv1.StepKind_STEP_KIND_SUPPLEMENT_REQUIRED, at, "")
	}
	for _, round := range m.GetSupplementaries() {
		if round.GetIsReceived() {
			tell(viewv1.StepKind_STEP_KIND_SUPPLEMENT_RECEIVED, round.GetReceivedDate(), "")
		}
	}
	tell(viewv1.StepKind_STEP_KIND_FINISHED, finishedAt(m), officialPosition(m.GetApproverPosition(), m.GetApproverName()))
	tell(viewv1.StepKind_STEP_KIND_RETURNED, returnedAt(m), "")
	return mergeSteps(nil, steps)
}

// supplementDates returns when supplements were asked for: by its rounds, or by
// the dossier's own date where it lists none.
func supplementDates(m *packetv1.MSyncDocument) []*timestamppb.Timestamp {
	if len(m.GetSupplementaries()) == 0 {
		return []*timestamppb.Timestamp{m.GetRequireSupplementaryDate()}
	}
	dates := make([]*timestamppb.Timestamp, len(m.GetSupplementaries()))
	for i, round := range m.GetSupplementaries() {
		dates[i] = round.GetSendDate()
	}
	return dates
}

// mergeSteps returns both, oldest first, the newest maxSteps of them.
func mergeSteps(known, more []*viewv1.Step) []*viewv1.Step {
	all := slices.Concat(known, more)
	slices.SortStableFunc(all, func(a, b *viewv1.Step) int {
		return cmp.Or(
			a.GetAt().AsTime().Compare(b.GetAt().AsTime()),
			cmp.Compare(a.GetSequence(), b.GetSequence()),
			cmp.Compare(a.GetKind(), b.GetKind()))
	})
	return all[max(0, len(all)-maxSteps):]
}

// withoutSynced returns the steps that came from progress packets.
func withoutSynced(steps []*viewv1.Step) []*viewv1.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s *viewv1.Step) bool {
		return s.GetKind() != viewv1.StepKind_STEP_KIND_PROGRESS
	})
}

// toldBefore reports whether a step of the timeline says the same as step:
// senders that had no answer send a packet again under another id.
func toldBefore(steps []*viewv1.Step, step *viewv1.Step) bool {
	return slices.ContainsFunc(steps, func(s *viewv1.Step) bool {
		return s.GetKind() == step.GetKind() && s.GetAt().AsTime().Equal(step.GetAt().AsTime()) &&
			(s.Status == nil) == (step.Status == nil) && s.GetStatus() == step.GetStatus() &&
			s.GetPosition() == step.GetPosition() && s.GetOrganisationName() == step.GetOrganisationName()
	})
}

// newest returns when the last of the steps happened; nil where there is none.
func newest(steps []*viewv1.Step) *timestamppb.Timestamp {
	if len(steps) == 0 {
		return nil
	}
	return steps[len(steps)-1].GetAt()
}
