package lookup_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/lookup"
)

func question() *lookupv1.AskRequest {
	return &lookupv1.AskRequest{Service: service, Request: []byte("0100000001")}
}

func TestQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	asker, db := h.node("H41.04/motcua"), h.offer("G01/csdl", service)
	req := question()
	req.OnBehalfOf = "000.12.04.H41"
	before := time.Now()
	outcome := h.ask(asker, req)
	q := db.question()
	if until := q.GetDeadline().AsTime(); until.Before(before.Add(29*time.Second)) || until.After(time.Now().Add(31*time.Second)) {
		t.Errorf("deadline of a question without one is %v; want 30 seconds from now", until)
	}
	want := &lookupv1.Question{
		Id: q.GetId(), Service: service, Asker: "H41.04/motcua", OnBehalfOf: "H41.04.12", Request: req.GetRequest(), Deadline: q.GetDeadline(),
	}
	if diff := cmp.Diff(want, q, protocmp.Transform()); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}
	db.answer(q.GetId(), "found")
	got := within(t, outcome, "the answer")
	if got.err != nil || string(got.resp.GetResponse()) != "found" || got.resp.GetAnsweredBy() != "G01/csdl" {
		t.Fatalf("answer is %v, %v", got.resp, got.err)
	}
	audit := h.audit()
	if n := got.resp.GetAuditSequence(); n != uint64(len(audit)) {
		t.Errorf("audit number is %d; the log ends at %d", n, len(audit))
	}
	line := audit[len(audit)-1]
	wantLine := &lookupv1.AuditRecord{At: line.GetAt(), Asker: "H41.04/motcua", OnBehalfOf: "H41.04.12", Service: service, Answerer: "G01/csdl"}
	if diff := cmp.Diff(wantLine, line, protocmp.Transform()); diff != "" {
		t.Errorf("audit line (-want +got):\n%s", diff)
	}
}

// Whatever is refused stands in the audit log with its code, and reaches nobody.
func TestRefusedQuestions(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.rights.grant("H42", "G01/csdl", "G02/csdl")
	h.rights.grant("H43", "G02/csdl")
	for name, c := range map[string]struct {
		asker  string
		change func(*lookupv1.AskRequest)
		code   codes.Code
		reason string
		says   string
	}{
		"no right at all":       {"H44/motcua", func(*lookupv1.AskRequest) {}, codes.PermissionDenied, "right_missing", "H44"},
		"for another service":   {"H41/motcua", func(r *lookupv1.AskRequest) { r.Service = "a.B/C" }, codes.PermissionDenied, "right_missing", "H41"},
		"at another node":       {"H41/motcua", func(r *lookupv1.AskRequest) { r.Node = "G02/csdl" }, codes.PermissionDenied, "right_missing", "G02/csdl"},
		"at one of several":     {"H42/motcua", func(*lookupv1.AskRequest) {}, codes.InvalidArgument, "node_ambiguous", "G01/csdl, G02/csdl"},
		"for another's":         {"H41/motcua", func(r *lookupv1.AskRequest) { r.OnBehalfOf = "H42" }, codes.PermissionDenied, "organisation_not_yours", "H41"},
		"for what is none":      {"H41/motcua", func(r *lookupv1.AskRequest) { r.OnBehalfOf = "tỉnh" }, codes.InvalidArgument, "organisation_invalid", "G12.18"},
		"with nobody to answer": {"H43/motcua", func(*lookupv1.AskRequest) {}, codes.Unavailable, "answerer_unavailable", "G02/csdl"},
	} {
		req := question()
		c.change(req)
		_, err := h.node(c.asker).Ask(t.Context(), req)
		t.Log(name)
		if told := wantRefused(t, err, c.code, c.reason); !strings.Contains(told.EN, c.says) || told.VI == "" {
			t.Errorf("told %q, %q; want it to name %s, in both languages", told.EN, told.VI, c.says)
		}
		audit := h.audit()
		line := audit[len(audit)-1]
		if line.GetAsker() != c.asker || line.GetService() != req.GetService() || line.GetCode() != int32(c.code) {
			t.Errorf("audit line is %v", line)
		}
	}
}

func TestOnlyNodesAskAndOnlyDatabasesAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	admin, err := h.authority.IssueAdmin("lan", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.dial(admin).Ask(t.Context(), question())
	wantRefused(t, err, codes.Unauthenticated, "not_a_node")
	_, err = h.offer("H41/motcua", service).stream.Recv()
	wantRefused(t, err, codes.PermissionDenied, "not_a_database")
	first := h.open("G01/csdl")
	first.answer(1, "before any offer")
	_, err = first.stream.Recv()
	wantRefused(t, err, codes.InvalidArgument, "offer_missing")
	// Being there is not enough: what is asked has to be offered.
	h.offer("G01/csdl", "a.B/C")
	_, err = h.node("H41/motcua").Ask(t.Context(), question())
	wantRefused(t, err, codes.Unavailable, "answerer_unavailable")
}

func TestAnswererThatGoesMidQuestion(t *testing.T) {
	t.Parallel()
	h := start(t)
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	ctx := t.Context()
	outcome := h.ask(asker, question())
	db.question()
	db.leave()
	// ask tries again where nobody is there: the next stream gets the question.
	next := h.offer("G01/csdl", service)
	next.answer(next.question().GetId(), "found")
	if got := within(t, outcome, "the answer"); got.err != nil {
		t.Errorf("asked again, with an answerer there: %v", got.err)
	}
	// One that half-closes answers no more either.
	if err := next.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := next.stream.Recv(); err == nil {
		t.Fatal("a question after the half-close")
	}
	_, err := asker.Ask(ctx, question())
	if told := wantRefused(t, err, codes.Unavailable, "answerer_unavailable"); told.RetryAfter <= 0 {
		t.Error("the refusal does not say when to ask again")
	}
	lines := h.audit()
	codesSeen := map[int32]bool{}
	for _, line := range lines {
		codesSeen[line.GetCode()] = true
	}
	if !codesSeen[int32(codes.Unavailable)] || !codesSeen[int32(codes.OK)] {
		t.Errorf("audit lines are %v; want the question that was lost, and the one that was answered", lines)
	}
}

// A late answer goes to nobody, and not to the question after.
func TestDeadlineAndLateAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	warm := h.ask(asker, question())
	db.answer(db.question().GetId(), "warm")
	within(t, warm, "first answer")

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	outcome := make(chan error, 1)
	go func() {
		_, err := asker.Ask(ctx, question())
		outcome <- err
	}()
	late := db.question()
	err := within(t, outcome, "end of the deadline")
	if fault.From(err).Code != codes.DeadlineExceeded {
		t.Errorf("without an answer in time: %v; want DEADLINE_EXCEEDED", err)
	}
	next := h.ask(asker, question())
	q := db.question()
	db.answer(late.GetId(), "late")
	db.answer(q.GetId()+1, "to a question that was not asked")
	db.answer(q.GetId(), "in time")
	db.answer(q.GetId(), "twice")
	if got := within(t, next, "the answer"); string(got.resp.GetResponse()) != "in time" {
		t.Errorf("answer is %v, %v; want the one to this question", got.resp, got.err)
	}
}

func TestDeadlinesAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t, func(cfg *lookup.Config) { cfg.Deadline = 100 * time.Millisecond })
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	warm := h.ask(asker, question())
	db.answer(db.question().GetId(), "warm")
	within(t, warm, "first answer")
	for name, deadline := range map[string]time.Duration{"none": 0, "an hour": time.Hour} {
		ctx := t.Context()
		if deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, deadline)
			defer cancel()
		}
		outcome := make(chan error, 1)
		go func() {
			_, err := asker.Ask(ctx, question())
			outcome <- err
		}()
		if err := within(t, outcome, "end of the wait"); fault.From(err).Code != codes.DeadlineExceeded {
			t.Errorf("a question with a deadline of %s ended with %v; want DEADLINE_EXCEEDED", name, err)
		}
	}
}

func TestErrorsOfTheMethod(t *testing.T) {
	t.Parallel()
	h := start(t)
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	for name, c := range map[string]struct {
		answer *lookupv1.Answer
		code   codes.Code
		reason string
		says   string
	}{
		"its own code and text": {
			&lookupv1.Answer{Outcome: &lookupv1.Answer_Error{Error: &status.Status{Code: int32(codes.NotFound), Message: "no such enterprise"}}},
			codes.NotFound, "answerer_error", "no such enterprise",
		},
		"a code that is none": {
			&lookupv1.Answer{Outcome: &lookupv1.Answer_Error{Error: &status.Status{Code: 999, Message: "x"}}},
			codes.Unknown, "answer_invalid", "code",
		},
		"an error that is OK": {
			&lookupv1.Answer{Outcome: &lookupv1.Answer_Error{Error: &status.Status{}}},
			codes.Unknown, "answer_invalid", "code",
		},
		"nothing": {&lookupv1.Answer{}, codes.Unknown, "answer_invalid", "outcome"},
		"a text without end": {
			&lookupv1.Answer{Outcome: &lookupv1.Answer_Error{Error: &status.Status{Code: int32(codes.Internal), Message: strings.Repeat("ô", 1<<20)}}},
			codes.Internal, "answerer_error", "ôôô",
		},
	} {
		outcome := h.ask(asker, question())
		c.answer.QuestionId = db.question().GetId()
		db.send(&lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Answer{Answer: c.answer}})
		t.Log(name)
		got := within(t, outcome, "the answer")
		if told := wantRefused(t, got.err, c.code, c.reason); !strings.Contains(told.EN, c.says) || len(told.EN) > 2000 {
			t.Errorf("told %.100q of %d bytes", told.EN, len(told.EN))
		}
		audit := h.audit()
		if code := audit[len(audit)-1].GetCode(); code != int32(c.code) {
			t.Errorf("audit line has code %d; want %d", code, c.code)
		}
	}
}

// A node has a bounded number of questions before it, and no asker can have all
// of its time.
func TestBusyAnswerer(t *testing.T) {
	t.Parallel()
	h := start(t, func(cfg *lookup.Config) { cfg.Concurrent = 4 })
	h.rights.grant("H42", "G01/csdl")
	h.rights.grant("H43", "G01/csdl")
	greedy, other, third := h.node("H41/motcua"), h.node("H42/motcua"), h.node("H43/motcua")
	db := h.offer("G01/csdl", service)
	var open []<-chan asked
	var ids []uint64
	begin := func(node lookupv1.LookupServiceClient) {
		open = append(open, h.ask(node, question()))
		ids = append(ids, db.question().GetId())
	}
	begin(greedy)
	begin(greedy)
	_, err := greedy.Ask(t.Context(), question())
	if told := wantRefused(t, err, codes.ResourceExhausted, "answerer_busy"); told.RetryAfter <= 0 {
		t.Error("the refusal does not say when to ask again")
	}
	begin(other)
	begin(third)
	_, err = third.Ask(t.Context(), question())
	wantRefused(t, err, codes.ResourceExhausted, "answerer_busy")
	for i, id := range ids {
		db.answer(id, "found")
		if got := within(t, open[i], "the answer"); got.err != nil {
			t.Errorf("question %d: %v", i, got.err)
		}
	}
	begin(greedy)
	db.answer(ids[len(ids)-1], "found")
	if got := within(t, open[len(open)-1], "the answer"); got.err != nil {
		t.Errorf("once the others are answered: %v", got.err)
	}
}

// A suspended database's stream ends, and its questions with it.
func TestSuspendedAnswerer(t *testing.T) {
	t.Parallel()
	h := start(t)
	db := h.offer("G01/csdl", service)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asker := h.node("H41/motcua")
	warm := h.ask(asker, question())
	db.answer(db.question().GetId(), "warm")
	within(t, warm, "first answer")
	outcome := make(chan error, 1)
	go func() {
		_, err := asker.Ask(ctx, question())
		outcome <- err
	}()
	db.question()
	h.server.EndSessions("G01/csdl", fault.New(codes.PermissionDenied, "node_not_active", "suspended", "đã tạm dừng"))
	wantRefused(t, within(t, outcome, "end of the question"), codes.Unavailable, "answerer_unavailable")
	_, err := db.stream.Recv()
	wantRefused(t, err, codes.PermissionDenied, "node_not_active")
}

// breakable is an audit log that can become one that cannot be written.
type breakable struct {
	lookup.Audit
	broken atomic.Bool
}

// AppendAudit implements lookup.Audit.
func (b *breakable) AppendAudit(ctx context.Context, record []byte) (uint64, error) {
	if b.broken.Load() {
		return 0, errors.New("disk is full")
	}
	return b.Audit.AppendAudit(ctx, record)
}

// An answer whose line cannot be written is not let go.
func TestNoAnswerWithoutItsAuditLine(t *testing.T) {
	t.Parallel()
	audit := &breakable{}
	h := start(t, func(cfg *lookup.Config) { audit.Audit, cfg.Audit = cfg.Audit, audit })
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	outcome := h.ask(asker, question())
	first := db.question()
	audit.broken.Store(true)
	db.answer(first.GetId(), "found")
	got := within(t, outcome, "the outcome")
	wantRefused(t, got.err, codes.Internal, "internal")
	if got.resp != nil || strings.Contains(got.err.Error(), "disk") {
		t.Errorf("the asker has %v, %v; want neither the answer nor the detail", got.resp, got.err)
	}
}

// Nothing of what was asked or answered is in the audit log.
func TestAuditHoldsNoContent(t *testing.T) {
	t.Parallel()
	h := start(t)
	asker, db := h.node("H41/motcua"), h.offer("G01/csdl", service)
	outcome := h.ask(asker, question())
	db.answer(db.question().GetId(), "Nguyen-Thi-X")
	within(t, outcome, "the answer")
	for _, line := range h.audit() {
		written, err := proto.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(written, []byte("Nguyen-Thi-X")) || bytes.Contains(written, []byte("0100000001")) {
			t.Errorf("audit line %v holds content", line)
		}
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	if _, err := lookup.New(lookup.Config{}); err == nil {
		t.Error("a service without rights and audit was made")
	}
}
