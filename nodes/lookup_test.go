package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

const lookUp = "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise"

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	content, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAGeneratedClientAsksThroughTheHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var asked *lookupv1.AskRequest
	h.ask = func(_ context.Context, req *lookupv1.AskRequest) (*lookupv1.AskResponse, error) {
		asked = req
		resp := &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Name: "Công ty A"}}
		return &lookupv1.AskResponse{Response: marshal(t, resp), AnsweredBy: "G05/dkkd"}, nil
	}
	enterprises := enterprisev1.NewEnterpriseServiceClient(dial(t, h.config(t)).Via("G05/dkkd").OnBehalfOf("H41.01"))
	request := &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"}
	resp, err := enterprises.LookUpEnterprise(t.Context(), request)
	if err != nil || resp.GetEnterprise().GetName() != "Công ty A" {
		t.Errorf("look-up: %v, %v", resp, err)
	}
	want := &lookupv1.AskRequest{Service: lookUp, Node: "G05/dkkd", OnBehalfOf: "H41.01", Request: marshal(t, request)}
	if !proto.Equal(asked, want) {
		t.Errorf("the hub was asked %v; want %v", asked, want)
	}
}

func TestErrorsOfLookUpsKeepTheirCode(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c := dial(t, h.config(t))
	enterprises := enterprisev1.NewEnterpriseServiceClient(c.Via(""))
	for name, want := range map[string]struct {
		ask    func(context.Context, *lookupv1.AskRequest) (*lookupv1.AskResponse, error)
		code   codes.Code
		reason string
	}{
		"refused": {func(context.Context, *lookupv1.AskRequest) (*lookupv1.AskResponse, error) {
			return nil, hubfault.New(codes.NotFound, "answerer_error", "no such enterprise", "không có")
		}, codes.NotFound, "answerer_error"},
		"not the message": {func(context.Context, *lookupv1.AskRequest) (*lookupv1.AskResponse, error) {
			return &lookupv1.AskResponse{Response: []byte{0xff}}, nil
		}, codes.Internal, "answer_invalid"},
	} {
		h.ask = want.ask
		_, err := enterprises.LookUpEnterprise(t.Context(), &enterprisev1.LookUpEnterpriseRequest{})
		var refused *nodes.Refused
		if status.Code(err) != want.code || !errors.As(err, &refused) || refused.Reason() != want.reason {
			t.Errorf("%s: %v; want %s %s", name, err, want.code, want.reason)
		}
	}
	if _, err := exchangev1.NewExchangeServiceClient(c.Via("")).Receive(t.Context()); status.Code(err) != codes.Unimplemented {
		t.Errorf("a stream: %v; want UNIMPLEMENTED", err)
	}
}

// enterprises is a register that can be told what to do.
type enterprises struct {
	enterprisev1.UnimplementedEnterpriseServiceServer
	lookUp func(context.Context, *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error)
}

func (e enterprises) LookUpEnterprise(ctx context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	return e.lookUp(ctx, req)
}

// questioner is the hub's side of Serve: it asks, on whatever stream there is.
type questioner struct {
	streams chan lookupv1.LookupService_ServeServer
	offers  chan *lookupv1.Offer
	answers chan *lookupv1.Answer
}

func question(h *scripted) *questioner {
	q := &questioner{
		streams: make(chan lookupv1.LookupService_ServeServer, 100),
		offers:  make(chan *lookupv1.Offer, 100), answers: make(chan *lookupv1.Answer, 100),
	}
	h.serve = func(stream lookupv1.LookupService_ServeServer) error {
		first, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("offer: %w", err)
		}
		q.offers <- first.GetOffer()
		q.streams <- stream
		for {
			req, err := stream.Recv()
			if err != nil {
				return fmt.Errorf("answer: %w", err)
			}
			q.answers <- req.GetAnswer()
		}
	}
	return q
}

func serving(t testing.TB, c *nodes.Client, e enterprises) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Serve(ctx, func(r grpc.ServiceRegistrar) { enterprisev1.RegisterEnterpriseServiceServer(r, e) })
	}()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

func asked(t testing.TB, id uint64, code string) *lookupv1.ServeResponse {
	t.Helper()
	return &lookupv1.ServeResponse{Question: &lookupv1.Question{
		Id: id, Service: lookUp, Asker: "H41/motcua", OnBehalfOf: "H41.01",
		Request:  marshal(t, &enterprisev1.LookUpEnterpriseRequest{Code: code}),
		Deadline: timestamppb.New(time.Now().Add(time.Minute)),
	}}
}

// answerByCode returns, panics or fails as the code says.
func answerByCode(ctx context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	switch req.GetCode() {
	case "missing":
		return nil, status.Error(codes.NotFound, "no such enterprise")
	case "panic":
		panic("secret")
	case "broken":
		return nil, errors.New("secret")
	}
	asker, _ := nodes.AskerFrom(ctx)
	if _, has := ctx.Deadline(); !has {
		return nil, errors.New("no deadline")
	}
	return &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Name: asker.Node + " for " + asker.OnBehalfOf}}, nil
}

func TestServeAnswersWithWhatTheMethodReturns(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	q := question(h)
	stop := serving(t, dial(t, h.config(t)), enterprises{lookUp: answerByCode})
	stream := <-q.streams
	if offer := <-q.offers; len(offer.GetServices()) != 1 || offer.GetServices()[0] != lookUp {
		t.Errorf("offered are %v", offer)
	}
	good := marshal(t, &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Name: "H41/motcua for H41.01"}})
	const failed = "the answering node failed; its operator has been told"
	unknown, garbled := asked(t, 7, ""), asked(t, 7, "")
	unknown.Question.Service = "else/Where"
	garbled.Question.Request = []byte{0xff}
	for name, c := range map[string]struct {
		ask  *lookupv1.ServeResponse
		want *lookupv1.Answer
	}{
		"a response":         {asked(t, 7, "2900000001"), &lookupv1.Answer{Outcome: &lookupv1.Answer_Response{Response: good}}},
		"a status":           {asked(t, 7, "missing"), answeredError(codes.NotFound, "no such enterprise")},
		"a panic":            {asked(t, 7, "panic"), answeredError(codes.Internal, failed)},
		"an error":           {asked(t, 7, "broken"), answeredError(codes.Internal, failed)},
		"an unknown method":  {unknown, answeredError(codes.Unimplemented, "else/Where is not offered here")},
		"a garbled question": {garbled, answeredError(codes.InvalidArgument, "the request is no lienthong.enterprise.v1.LookUpEnterpriseRequest")},
	} {
		c.want.QuestionId = 7
		if err := stream.Send(c.ask); err != nil {
			t.Fatalf("ask: %v", err)
		}
		if got := <-q.answers; !proto.Equal(got, c.want) {
			t.Errorf("%s is answered with %v; want %v", name, got, c.want)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("serve: %v; want nil when its context has ended", err)
	}
}

func answeredError(code codes.Code, text string) *lookupv1.Answer {
	return &lookupv1.Answer{Outcome: &lookupv1.Answer_Error{Error: status.New(code, text).Proto()}}
}

func TestServeAnswersConcurrentlyUpToItsBound(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	q := question(h)
	cfg := h.config(t)
	cfg.Answers = 2
	begun, release := make(chan string, 10), make(chan struct{})
	var mu sync.Mutex
	var now, most int
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	stop := serving(t, dial(t, cfg), enterprises{lookUp: func(_ context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
		count(1)
		defer count(-1)
		begun <- req.GetCode()
		<-release
		return &enterprisev1.LookUpEnterpriseResponse{}, nil
	}})
	stream := <-q.streams
	for id := range uint64(5) {
		if err := stream.Send(asked(t, id, "x")); err != nil {
			t.Fatalf("ask: %v", err)
		}
	}
	<-begun
	<-begun // both run before any has ended
	close(release)
	for range 5 {
		<-q.answers
	}
	if err := stop(); err != nil || most != 2 {
		t.Errorf("serve: %v; %d ran at one time, want 2", err, most)
	}
}

func TestServeConnectsAgainAndWaitsForItsMethods(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	q := question(h)
	begun, ended := make(chan struct{}, 1), make(chan struct{})
	stop := serving(t, dial(t, h.config(t)), enterprises{lookUp: func(ctx context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
		if req.GetCode() == "slow" {
			begun <- struct{}{}
			<-ctx.Done() // the cut ends the question
			<-ended      // and yet it takes its time
		}
		return &enterprisev1.LookUpEnterpriseResponse{}, nil
	}})
	if err := (<-q.streams).Send(asked(t, 1, "slow")); err != nil {
		t.Fatalf("ask: %v", err)
	}
	<-begun
	h.listener.cut()
	if err := (<-q.streams).Send(asked(t, 2, "quick")); err != nil {
		t.Fatalf("ask on the next stream: %v", err)
	}
	if got := <-q.answers; got.GetQuestionId() != 2 {
		t.Errorf("answered is %v; want question 2", got)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("serve returned %v while a method ran", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(ended)
	if err := <-stopped; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestServeEndsWithWhatTheHubRefusesForGood(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.admitted = func(context.Context) error {
		return hubfault.New(codes.PermissionDenied, "not_a_database", "only DATABASE", "chỉ DATABASE")
	}
	c := dial(t, h.config(t))
	err := c.Serve(t.Context(), func(r grpc.ServiceRegistrar) { enterprisev1.RegisterEnterpriseServiceServer(r, enterprises{}) })
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "not_a_database" || h.streams != 1 {
		t.Errorf("serve: %v after %d streams; want not_a_database after one", err, h.streams)
	}
	if err := c.Serve(t.Context(), func(grpc.ServiceRegistrar) {}); err == nil {
		t.Error("serve without a method: no error")
	}
}
