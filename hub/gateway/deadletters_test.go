package gateway_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

func (e *exchange) Reject(ctx context.Context, req *exchangev1.RejectRequest) (*exchangev1.RejectResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp := &exchangev1.RejectResponse{}
	for _, r := range req.GetRejections() {
		attempts, ok := e.waiting[r.GetSequence()]
		switch {
		case !ok:
			resp.NotWaiting = append(resp.NotWaiting, r.GetSequence())
		case r.GetFinal():
			delete(e.waiting, r.GetSequence())
			e.dead[r.GetSequence()] = &exchangev1.DeadLetter{
				Sequence: r.GetSequence(), Reason: r.GetReason(), Attempts: attempts,
				GivenUpAt: timestamppb.New(time.Date(2026, 11, 24, 1, 3, 3, 0, time.UTC)),
			}
			resp.Dead = append(resp.Dead, r.GetSequence())
		default:
			resp.Rejected = append(resp.Rejected, r.GetSequence())
		}
	}
	return resp, nil
}

func (e *exchange) ListDeadLetters(ctx context.Context, req *exchangev1.ListDeadLettersRequest) (*exchangev1.ListDeadLettersResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp := &exchangev1.ListDeadLettersResponse{}
	for _, sequence := range slices.Sorted(maps.Keys(e.dead)) {
		if sequence > req.GetAfter() && (req.GetLimit() == 0 || len(resp.GetDeadLetters()) < int(req.GetLimit())) {
			resp.DeadLetters = append(resp.DeadLetters, e.dead[sequence])
		}
	}
	return resp, nil
}

func (e *exchange) SettleDeadLetters(ctx context.Context, req *exchangev1.SettleDeadLettersRequest) (*exchangev1.SettleDeadLettersResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp := &exchangev1.SettleDeadLettersResponse{}
	settle := func(sequences []uint64, settled *[]uint64, again bool) {
		for _, sequence := range sequences {
			if e.dead[sequence] == nil {
				resp.NotDead = append(resp.NotDead, sequence)
				continue
			}
			delete(e.dead, sequence)
			*settled = append(*settled, sequence)
			if again {
				e.waiting[sequence] = 0
			}
		}
	}
	settle(req.GetRedeliver(), &resp.Redelivered, true)
	settle(req.GetDiscard(), &resp.Discarded, false)
	return resp, nil
}

func (e *exchange) GetDeliveryStatus(ctx context.Context, req *exchangev1.GetDeliveryStatusRequest) (*exchangev1.GetDeliveryStatusResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if req.GetSequence() > uint64(len(e.accepted)) {
		return nil, fault.New(codes.NotFound, "packet_not_found", "no such packet", "không có gói tin này")
	}
	status := &exchangev1.DeliveryStatus{Recipient: "G22/portal", State: exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED}
	if letter := e.dead[req.GetSequence()]; letter != nil {
		status.State, status.Reason = exchangev1.DeliveryStatus_STATE_DEAD, letter.GetReason()
	} else if _, waits := e.waiting[req.GetSequence()]; waits {
		status.State = exchangev1.DeliveryStatus_STATE_WAITING
	}
	return &exchangev1.GetDeliveryStatusResponse{Deliveries: []*exchangev1.DeliveryStatus{status}}, nil
}

func TestRESTRejectsAndSettles(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil)
	for _, key := range []string{"a", "b"} {
		e.post("/Vote/UpdateVote", xmlType, surveyXML, "Idempotency-Key", key).wantAccepted(t, xmlType)
	}
	e.post("/v1/deliveries:pull", "", "")
	for _, step := range []struct{ method, path, body, want string }{
		{http.MethodPost, "/v1/deliveries:reject", `{"rejections":[{"sequence":"1","reason":"không đọc được","final":true},{"sequence":2,"reason":"bận"},{"sequence":7,"reason":"bận"}]}`,
			`{"rejected":["2"],"dead":["1"],"notWaiting":["7"]}`},
		{http.MethodGet, "/v1/dead-letters", "", `{"deadLetters":[{"sequence":"1","reason":"khôngđọcđược","attempts":1,"givenUpAt":"2026-11-24T01:03:03Z"}]}`},
		{http.MethodGet, "/v1/dead-letters?after=1&limit=5", "", `{"deadLetters":[]}`},
		{http.MethodGet, "/v1/packets/1/deliveries", "", `{"deliveries":[{"recipient":"G22/portal","state":"STATE_DEAD","reason":"khôngđọcđược","attempts":0,"nextAttemptAt":null}]}`},
		{http.MethodGet, "/v1/packets/2/deliveries", "", `{"deliveries":[{"recipient":"G22/portal","state":"STATE_WAITING","reason":"","attempts":0,"nextAttemptAt":null}]}`},
		{http.MethodPost, "/v1/dead-letters:settle", `{"redeliver":["1"],"discard":["2"]}`, `{"redelivered":["1"],"discarded":[],"notDead":["2"]}`},
		{http.MethodGet, "/v1/dead-letters", "", `{"deadLetters":[]}`},
	} {
		got := e.do(step.method, step.path, asJSON(), strings.NewReader(step.body))
		if got.StatusCode != http.StatusOK || strings.ReplaceAll(got.body, " ", "") != step.want {
			t.Errorf("%s %s: got %d %s; want %s", step.method, step.path, got.StatusCode, got.body, step.want)
		}
	}
}

// A number that cannot be read is named, with what was sent and what is allowed.
func TestWrongNumbersInQueriesOfDeadLettersAreNamed(t *testing.T) {
	t.Parallel()
	got := startEdge(t, nil).get("/v1/dead-letters?after=-1&limit=1001")
	for _, want := range []string{`"field":"after"`, `"sent":"-1"`, `"field":"limit"`, `"sent":"1001"`, "a whole number from 0 to 1000 is expected", "phải là số nguyên từ 0 đến 1000"} {
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(got.body, `": `, `":`), want) {
			t.Errorf("got %d %s, want 400 and %s", got.StatusCode, got.body, want)
		}
	}
}

// deadLetterSends sends the numbers of what is rejected, listed and settled.
func deadLetterSends(e *edge) sends {
	body := func(path, form string) func(string) answer {
		return func(n string) answer { return e.post(path, jsonType, fmt.Sprintf(form, n)) }
	}
	query := func(name string) func(string) answer {
		return func(n string) answer { return e.get("/v1/dead-letters?" + name + "=" + n) }
	}
	several := func(send func(string) answer, form string) func(string) answer {
		return func(n string) answer { return send(several(n, form)) }
	}
	const reject, settle = "/v1/deliveries:reject", "/v1/dead-letters:settle"
	sequence := body(reject, `{"rejections":[{"reason":"x","sequence":%s}]}`)
	reason := func(n string) answer { return body(reject, `{"rejections":[{"sequence":1,"reason":"%s"}]}`)(long(n)) }
	rejections := several(body(reject, `{"rejections":[%s]}`), `{"sequence":%d,"reason":"x"}`)
	all := sends{
		"RejectRequest.rejections minItems": rejections, "RejectRequest.rejections maxItems": rejections,
		"Rejection.sequence minimum": sequence, "Rejection.sequence maximum": sequence,
		"Rejection.reason minLength": reason, "Rejection.reason maxLength": reason,
		"/v1/dead-letters?after minimum": query("after"), "/v1/dead-letters?after maximum": query("after"),
		"/v1/dead-letters?limit minimum": query("limit"), "/v1/dead-letters?limit maximum": query("limit"),
	}
	for _, name := range []string{"redeliver", "discard"} {
		at := "SettleDeadLettersRequest." + name
		one := body(settle, `{"`+name+`":[%s]}`)
		all[at+" maxItems"] = several(one, "%d")
		all[at+"[] minimum"], all[at+"[] maximum"] = one, one
	}
	return all
}

// deadLetterWords sends what is of a form there, or has to be there.
func deadLetterWords(e *edge, sequences, numbered []string) map[string]words {
	with := func(path, form string) func(string) answer {
		return func(value string) answer { return e.post(path, jsonType, fmt.Sprintf(form, value)) }
	}
	const reject, settle = "/v1/deliveries:reject", "/v1/dead-letters:settle"
	over := append([]string{"07"}, numbered[1:]...) // 0 is a number
	whole := `"sequence":"1","reason":"x"`
	return map[string]words{
		"RejectRequest additionalProperties":            {with(reject, `{"rejections":[{`+whole+`}]%s}`), []string{""}, []string{`,"x":1`}},
		"RejectRequest required":                        {with(reject, `{%s}`), []string{`"rejections":[{` + whole + `}]`}, []string{""}},
		"Rejection additionalProperties":                {with(reject, `{"rejections":[{`+whole+`%s}]}`), []string{"", `,"final":true`}, []string{`,"x":1`}},
		"Rejection required":                            {with(reject, `{"rejections":[{%s}]}`), []string{whole}, []string{`"sequence":"1"`, `"reason":"x"`}},
		"Rejection.sequence pattern":                    {with(reject, `{"rejections":[{"reason":"x","sequence":"%s"}]}`), sequences, append([]string{"07"}, numbered...)},
		"SettleDeadLettersRequest additionalProperties": {with(settle, `{%s}`), []string{""}, []string{`"x":1`}},
		"SettleDeadLettersRequest.redeliver[] pattern":  {with(settle, `{"redeliver":["%s"]}`), append([]string{"0"}, sequences...), over},
		"SettleDeadLettersRequest.discard[] pattern":    {with(settle, `{"discard":["%s"]}`), append([]string{"0"}, sequences...), over},
		"/v1/dead-letters?after pattern":                {func(value string) answer { return e.get("/v1/dead-letters?after=" + value) }, append([]string{"0"}, sequences...), over},
	}
}
