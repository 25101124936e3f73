package views

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// What one answer holds at most.
const (
	maxPeriods       = 240
	maxSurveys       = 40
	maxOrganisations = 2000
)

// GetDossier implements ViewService. Codes that differ in case, surrounding white
// space or the spelling of the organisation are one code. INVALID_ARGUMENT for a text that is no code,
// NOT_FOUND where no packet spoke of it.
func (v *Views) GetDossier(ctx context.Context, req *viewv1.GetDossierRequest) (*viewv1.GetDossierResponse, error) {
	key, ok := dossierKey(req.GetCode())
	if !ok {
		return nil, fault.New(codes.InvalidArgument, "dossier_code_invalid",
			fmt.Sprintf("not a dossier code; allowed are 1 to %d characters that can be printed", codeText),
			fmt.Sprintf("không phải mã hồ sơ; cho phép từ 1 đến %d ký tự in được", codeText))
	}
	value, err := v.store.ViewItem(ctx, kindDossier, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fault.New(codes.NotFound, "dossier_unknown", "no accepted packet speaks of this dossier", "chưa có gói tin nào về hồ sơ này")
	}
	if err != nil {
		return nil, fault.From(fmt.Errorf("read dossier: %w", err))
	}
	var stored viewv1.StoredDossier
	if err := proto.Unmarshal(value, &stored); err != nil {
		return nil, fault.Internal(fmt.Errorf("%w: dossier: %w", store.ErrCorrupt, err))
	}
	return &viewv1.GetDossierResponse{Dossier: stored.GetDossier()}, nil
}

// ListStatistics implements ViewService. INVALID_ARGUMENT for a text that is no
// organisation code; an organisation without figures has an empty answer.
func (v *Views) ListStatistics(ctx context.Context, req *viewv1.ListStatisticsRequest) (*viewv1.ListStatisticsResponse, error) {
	organisation, err := parseOrganisation(req.GetOrganisation())
	if err != nil {
		return nil, err
	}
	found, err := list[viewv1.Statistic](ctx, v.store, kindStatistic, figuresOf(organisation), atMost(req.GetLimit(), maxPeriods))
	if err != nil {
		return nil, err
	}
	for _, statistic := range found {
		statistic.OrganisationName = v.nameOf(organisation, statistic.GetOrganisationName())
	}
	return &viewv1.ListStatisticsResponse{Statistics: found}, nil
}

// ListSurveys implements ViewService. INVALID_ARGUMENT for a text that is no
// organisation code; an organisation without surveys has an empty answer.
func (v *Views) ListSurveys(ctx context.Context, req *viewv1.ListSurveysRequest) (*viewv1.ListSurveysResponse, error) {
	organisation, err := parseOrganisation(req.GetOrganisation())
	if err != nil {
		return nil, err
	}
	found, err := list[viewv1.Survey](ctx, v.store, kindSurvey, figuresOf(organisation), atMost(req.GetLimit(), maxSurveys))
	if err != nil {
		return nil, err
	}
	for _, survey := range found {
		survey.OrganisationName = v.nameOf(organisation, survey.GetOrganisationName())
	}
	return &viewv1.ListSurveysResponse{Surveys: found}, nil
}

// ListReportingOrganisations implements ViewService.
func (v *Views) ListReportingOrganisations(ctx context.Context, _ *viewv1.ListReportingOrganisationsRequest) (*viewv1.ListReportingOrganisationsResponse, error) {
	found, err := list[viewv1.ReportingOrganisation](ctx, v.store, kindOrganisation, "", maxOrganisations)
	if err != nil {
		return nil, err
	}
	for _, reporting := range found {
		organisation, err := packet.ParseOrganisation(reporting.GetCode())
		if err != nil {
			return nil, fault.Internal(fmt.Errorf("%w: reporting organisation: %w", store.ErrCorrupt, err))
		}
		reporting.Name = v.nameOf(organisation, reporting.GetName())
	}
	return &viewv1.ListReportingOrganisationsResponse{Organisations: found}, nil
}

// nameOf returns the name of an organisation by the hub's own list, else the one
// it sent.
func (v *Views) nameOf(organisation packet.Organisation, sent string) string {
	if name := v.organisationName(organisation); name != "" {
		return name
	}
	return sent
}

func parseOrganisation(code string) (packet.Organisation, error) {
	organisation, err := packet.ParseOrganisation(code)
	if err != nil {
		return organisation, fault.New(codes.InvalidArgument, "organisation_invalid",
			"organisation is not an organisation code; allowed are G12.18 and 000.00.18.G12",
			"organisation không phải mã cơ quan; dạng cho phép: G12.18 hoặc 000.00.18.G12").Because(err)
	}
	return organisation, nil
}

// atMost returns the limit a caller asked for, within the hub's own.
func atMost(asked uint32, own int) int {
	if asked == 0 || asked > uint32(own) { //nolint:gosec // small constants
		return own
	}
	return int(asked)
}

// list reads the items whose keys have a prefix, by key. Errors are *fault.Error.
func list[T any, M interface {
	*T
	proto.Message
}](ctx context.Context, s Store, kind, prefix string, limit int) ([]M, error) {
	items, err := s.ViewItems(ctx, kind, prefix, limit)
	if err != nil {
		return nil, fault.From(fmt.Errorf("read %s: %w", kind, err))
	}
	messages := make([]M, len(items))
	for i, item := range items {
		messages[i] = new(T)
		if err := proto.Unmarshal(item.Value, messages[i]); err != nil {
			return nil, fault.Internal(fmt.Errorf("%w: %s: %w", store.ErrCorrupt, kind, err))
		}
	}
	return messages, nil
}
