package views

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/packet"
)

// applyDossier puts a full sync into the batch. The newest accepted one says
// what the dossier is; steps that come from its dates replace those of the one
// before.
func applyDossier(ctx context.Context, b *batch, from source, m *packetv1.MSyncDocument) error {
	stored, key, err := ownedDossier(ctx, b, from, m.GetDocCode())
	if err != nil {
		return err
	}
	d := stored.GetDossier()
	d.Code = displayCode(m.GetDocCode())
	d.ProcedureCode = clip(m.GetDocTypeCode(), shortText)
	d.ProcedureName = clip(m.GetDocTypeName(), longText)
	d.ApplicantMasked = maskName(m.GetCitizenName())
	d.OrganisationName = clip(m.GetOrganInchargeName(), longText)
	d.OrganisationCode = from.inCharge.String()
	d.ProcessingUnit = clip(m.GetProcessingOrganName(), longText)
	d.ReceivedAt = moment(m.GetDateReceived())
	d.AppointedAt = moment(m.GetDateAppointed())
	d.FinishedAt = finishedAt(m)
	d.ReturnedAt = returnedAt(m)
	told := stepsOf(from, m)
	d.Steps = mergeSteps(withoutSynced(d.GetSteps()), told)
	syncStatus(stored, m.GetStatus(), newest(told))
	b.put(kindDossier, key, stored)
	return nil
}

// applyProgress puts one step of a dossier into the batch. The step moves the
// dossier unless something newer is known of its status.
func applyProgress(ctx context.Context, b *batch, from source, m *packetv1.MDocumentTraces) error {
	at := moment(m.GetDateCreated())
	if at == nil {
		return unusableTime
	}
	stored, key, err := ownedDossier(ctx, b, from, m.GetDocCode())
	if err != nil {
		return err
	}
	d := stored.GetDossier()
	step := &viewv1.Step{
		At: at, Sequence: from.sequence, Status: m.Status,
		Position:         b.position(m.GetUserPosition(), m.GetUserName()),
		OrganisationName: clip(m.GetOrganizationInchargeName(), longText),
		Kind:             viewv1.StepKind_STEP_KIND_PROGRESS,
	}
	if stored.SyncedStatus == nil { // no dossier packet has said more yet
		d.OrganisationName, d.OrganisationCode = step.GetOrganisationName(), from.inCharge.String()
	}
	if !toldBefore(d.GetSteps(), step) {
		d.Steps = mergeSteps(d.GetSteps(), []*viewv1.Step{step})
	}
	if m.Status != nil {
		progressStatus(stored, m.GetStatus(), at)
	}
	b.put(kindDossier, key, stored)
	return nil
}

// ownedDossier returns the dossier that the speaker's packet is about, new where
// there is none, and its key. Packets of the level-1 organisation that spoke
// first count, all others are passed over; except that the organisation named in
// the code itself takes the place of another that spoke in it first, and of all
// that it said.
func ownedDossier(ctx context.Context, b *batch, from source, code string) (*viewv1.StoredDossier, string, error) {
	key, ok := dossierKey(code)
	if !ok {
		return nil, "", unusableCode
	}
	stored, err := b.dossier(ctx, key)
	if err != nil {
		return nil, "", err
	}
	owner := from.speaker.Level1()
	if stored == nil || stored.GetOwner() != owner.String() && issuer(key) == owner {
		return &viewv1.StoredDossier{
			Owner:   owner.String(),
			Dossier: &viewv1.Dossier{Code: displayCode(code)},
		}, key, nil
	}
	if stored.GetOwner() != owner.String() {
		return nil, "", notTheOwner
	}
	return stored, key, nil
}

// issuer returns the level-1 organisation that a dossier code names, the zero
// value where it names none.
func issuer(key string) packet.Organisation {
	prefix, _, _ := strings.Cut(key, "-")
	named, err := packet.ParseOrganisation(prefix)
	if err != nil {
		return packet.Organisation{}
	}
	return named.Level1()
}

// syncStatus takes the status of a dossier packet whose newest date is at. A
// dossier packet speaks for the whole dossier, yet its status may be older than
// the progress that is known: then it counts only where it says something other
// than the dossier packet before, or an end.
func syncStatus(stored *viewv1.StoredDossier, status int32, at *timestamppb.Timestamp) {
	changed := stored.SyncedStatus != nil && stored.GetSyncedStatus() != status
	if changed || terminal(status) || !before(at, stored.GetStatusAt()) {
		stored.Dossier.Status = status
	}
	if before(stored.GetStatusAt(), at) {
		stored.StatusAt = at
	}
	stored.SyncedStatus = proto.Int32(status)
}

// progressStatus takes the status of a progress packet, unless a newer one is
// known or the dossier has come to an end. Only a dossier packet opens it again.
func progressStatus(stored *viewv1.StoredDossier, status int32, at *timestamppb.Timestamp) {
	if before(at, stored.GetStatusAt()) {
		return
	}
	stored.StatusAt = at
	if !terminal(stored.GetDossier().GetStatus()) || terminal(status) {
		stored.Dossier.Status = status
	}
}

func terminal(status int32) bool {
	code, known := packet.StatusCode(status)
	return known && code.GetTerminal()
}

// before reports whether a is earlier than b; no time is earlier than any.
func before(a, b *timestamppb.Timestamp) bool {
	switch {
	case b == nil:
		return false
	case a == nil:
		return true
	default:
		return a.AsTime().Before(b.AsTime())
	}
}

// moment returns a valid time, or nil.
func moment(ts *timestamppb.Timestamp) *timestamppb.Timestamp {
	if !ts.IsValid() {
		return nil
	}
	return ts
}

func finishedAt(m *packetv1.MSyncDocument) *timestamppb.Timestamp {
	if at := moment(m.GetFinishedDate()); at != nil || !m.GetIsSuccess() {
		return at
	}
	return moment(m.GetSuccessDate())
}

func returnedAt(m *packetv1.MSyncDocument) *timestamppb.Timestamp {
	if !m.GetIsReturned() {
		return nil
	}
	return moment(m.GetReturnedDate())
}
