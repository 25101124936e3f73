package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// Serve implements LookupService. One goroutine reads answers, this one sends
// questions.
func (s *Service) Serve(stream lookupv1.LookupService_ServeServer) error {
	ctx := stream.Context()
	caller, ok := s.cfg.Caller(ctx)
	if !ok || !s.cfg.Rights.MayAnswer(caller) {
		return fault.New(codes.PermissionDenied, "not_a_database", "only nodes of kind DATABASE answer questions", "chỉ hệ thống loại DATABASE được trả lời tra cứu")
	}
	first, err := stream.Recv()
	if err != nil {
		return fmt.Errorf("read offer: %w", err)
	}
	if len(first.GetOffer().GetServices()) == 0 {
		return fault.New(codes.InvalidArgument, "offer_missing", "the first request must offer at least one service", "yêu cầu đầu tiên phải nêu ít nhất một dịch vụ")
	}
	a := &answerer{
		services:  first.GetOffer().GetServices(),
		questions: make(chan *lookupv1.Question, s.cfg.Concurrent),
		waiting:   map[uint64]chan *lookupv1.Answer{},
		byAsker:   map[string]int{},
		gone:      make(chan struct{}),
		limit:     s.cfg.Concurrent,
	}
	s.answerers.add(caller, a)
	defer func() {
		s.answerers.remove(caller, a)
		close(a.gone)
	}()
	ended := make(chan error, 1)
	go func() { ended <- a.read(stream) }()
	return a.send(ctx, stream, ended)
}

// answerers holds the live Serve streams by node.
type answerers struct {
	mu     sync.Mutex
	byNode map[string][]*answerer
	turn   int
}

func newAnswerers() *answerers { return &answerers{byNode: map[string][]*answerer{}} }

func (as *answerers) add(node string, a *answerer) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.byNode[node] = append(as.byNode[node], a)
}

func (as *answerers) remove(node string, a *answerer) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.byNode[node] = slices.DeleteFunc(as.byNode[node], func(x *answerer) bool { return x == a })
	if len(as.byNode[node]) == 0 {
		delete(as.byNode, node)
	}
}

// pick returns a stream of the node that offers the service; streams take turns.
func (as *answerers) pick(node, service string) (*answerer, bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	streams := as.byNode[node]
	as.turn++
	for i := range streams {
		if a := streams[(as.turn+i)%len(streams)]; slices.Contains(a.services, service) {
			return a, true
		}
	}
	return nil, false
}

func (as *answerers) ask(ctx context.Context, node string, q *lookupv1.Question) (*lookupv1.Answer, error) {
	a, ok := as.pick(node, q.GetService())
	if !ok {
		return nil, notThere(node)
	}
	answer, forget, err := a.expect(q)
	if err != nil {
		return nil, err
	}
	defer forget()
	select {
	case a.questions <- q:
	case <-a.gone:
		return nil, notThere(node)
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s: %w", node, ctx.Err())
	}
	select {
	case got := <-answer:
		return got, nil
	case <-a.gone:
		select {
		case got := <-answer: // it came before the answerer went
			return got, nil
		default:
			return nil, notThere(node)
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s: %w", node, ctx.Err())
	}
}

func notThere(node string) error {
	return fault.New(codes.Unavailable, "answerer_unavailable",
		fmt.Sprintf("node %s is not there to answer now; ask again later", node),
		fmt.Sprintf("hệ thống %s hiện không trả lời; vui lòng thử lại sau", node)).After(2 * time.Second)
}

// answerer is one Serve stream.
type answerer struct {
	services  []string
	questions chan *lookupv1.Question
	gone      chan struct{}
	limit     int

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan *lookupv1.Answer
	byAsker map[string]int // number of those waiting
}

// expect numbers a question and returns where its answer will come.
func (a *answerer) expect(q *lookupv1.Question) (<-chan *lookupv1.Answer, func(), error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	asker := q.GetAsker()
	if len(a.waiting) >= a.limit || a.byAsker[asker] >= max(1, a.limit/2) {
		return nil, nil, fault.New(codes.ResourceExhausted, "answerer_busy",
			"the answering node has too many questions before it; ask again later",
			"hệ thống trả lời đang quá tải; vui lòng thử lại sau").After(time.Second)
	}
	a.last++
	id := a.last
	q.Id = id
	answer := make(chan *lookupv1.Answer, 1)
	a.waiting[id] = answer
	a.byAsker[asker]++
	return answer, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, id)
		if a.byAsker[asker]--; a.byAsker[asker] == 0 {
			delete(a.byAsker, asker)
		}
	}, nil
}

// expects reports whether a question is still waited for.
func (a *answerer) expects(id uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.waiting[id]
	return ok
}

// read hands answers to who waits; an answer nobody waits for came too late.
func (a *answerer) read(stream lookupv1.LookupService_ServeServer) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read answers: %w", err)
		}
		answer := req.GetAnswer()
		a.mu.Lock()
		waiting, ok := a.waiting[answer.GetQuestionId()]
		delete(a.waiting, answer.GetQuestionId())
		a.mu.Unlock()
		if ok {
			waiting <- answer
		}
	}
}

func (a *answerer) send(ctx context.Context, stream lookupv1.LookupService_ServeServer, ended <-chan error) error {
	for {
		select {
		case q := <-a.questions:
			if !a.expects(q.GetId()) {
				continue // its asker has gone meanwhile
			}
			if err := stream.Send(&lookupv1.ServeResponse{Question: q}); err != nil {
				return fmt.Errorf("send question: %w", err)
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("serve: %w", context.Cause(ctx))
		}
	}
}
