package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/rpc"
)

func TestInvalidRequestsAreRefusedByField(t *testing.T) {
	t.Parallel()
	d := open(t, &services{})
	for field, req := range map[string]*exchangev1.AcknowledgeRequest{
		"sequences": {},
		"1024":      {Sequences: make([]uint64, 1025)},
	} {
		_, err := d.node("H41/motcua").Acknowledge(t.Context(), req)
		wantRefused(t, err, codes.InvalidArgument, "request_invalid")
		if err != nil && !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func envelope(id string) *exchangev1.Envelope {
	return &exchangev1.Envelope{
		Id: id, Type: packetv1.PacketType_PACKET_TYPE_STATISTIC, Format: exchangev1.Format_FORMAT_XML, Content: []byte("x"),
	}
}

// Frames keep to their rules; the envelopes in them are answered one by one.
func TestFramesOfStreamsAreChecked(t *testing.T) {
	t.Parallel()
	d := open(t, &services{submit: func(stream exchangev1.ExchangeService_SubmitStreamServer) error {
		frame, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		resp := &exchangev1.SubmitStreamResponse{}
		for _, env := range frame.GetEnvelopes() {
			resp.Results = append(resp.Results, &exchangev1.SubmitResult{Id: env.GetId()})
		}
		return stream.Send(resp)
	}})
	send := func(envelopes ...*exchangev1.Envelope) (*exchangev1.SubmitStreamResponse, error) {
		stream, err := d.node("H41/motcua").SubmitStream(t.Context())
		if err != nil {
			return nil, err
		}
		if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: envelopes}); err != nil {
			return nil, err
		}
		return stream.Recv()
	}
	many := make([]*exchangev1.Envelope, 1025)
	for i := range many {
		many[i] = envelope("a")
	}
	_, err := send()
	wantRefused(t, err, codes.InvalidArgument, "request_invalid")
	_, err = send(many...)
	wantRefused(t, err, codes.InvalidArgument, "request_invalid")
	resp, err := send(envelope("good"), envelope("not allowed!"))
	if err != nil || len(resp.GetResults()) != 2 {
		t.Errorf("a frame with a bad envelope among others gave %v, %v; want both handed on", resp, err)
	}
}

func TestMembersOfStreamMessagesAreChecked(t *testing.T) {
	t.Parallel()
	d := open(t, &services{serve: func(stream lookupv1.LookupService_ServeServer) error {
		_, err := stream.Recv()
		return err
	}})
	for name, offer := range map[string]*lookupv1.Offer{
		"nothing offered":       {},
		"the same twice":        {Services: []string{"a.B/C", "a.B/C"}},
		"more than are allowed": {Services: strings.Split(strings.Repeat("s ", 100)+"s", " ")},
	} {
		stream, err := lookupv1.NewLookupServiceClient(d.dial(issueNode(t, d.authority, "G01/csdl"))).Serve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Offer{Offer: offer}}); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		t.Log(name)
		wantRefused(t, err, codes.InvalidArgument, "request_invalid")
	}
}

func TestOversizedMessages(t *testing.T) {
	t.Parallel()
	d := open(t, &services{submit: func(stream exchangev1.ExchangeService_SubmitStreamServer) error {
		_, err := stream.Recv()
		return fmt.Errorf("read: %w", err)
	}})
	big := envelope("big")
	big.Content = make([]byte, maxMessage)
	node := d.node("H41/motcua")
	_, unary := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: big})
	stream, err := node.SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{big}}); err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	for _, err := range []error{unary, streamed} {
		wantRefused(t, err, codes.ResourceExhausted, "resource_exhausted")
		sent := proto.Size(&exchangev1.SubmitRequest{Envelope: big})
		if err != nil && (!strings.Contains(err.Error(), fmt.Sprint(maxMessage)) || !strings.Contains(err.Error(), fmt.Sprint(sent))) {
			t.Errorf("%v does not say that %d bytes were sent and %d are allowed", err, sent, maxMessage)
		}
	}
}

// A message that is small on the wire and huge in memory is not even decoded.
func TestMessagesOfTooManyMembers(t *testing.T) {
	t.Parallel()
	const many = 1 << 18
	d := open(t, &services{submit: func(stream exchangev1.ExchangeService_SubmitStreamServer) error {
		_, err := stream.Recv()
		return fmt.Errorf("decoded: %w", err)
	}}, func(cfg *rpc.Config) { cfg.MaxMessageBytes = 16 << 20 })
	node := d.node("H41/motcua")
	empties := make([]*exchangev1.Envelope, many+1)
	for i := range empties {
		empties[i] = &exchangev1.Envelope{}
	}
	for name, frame := range map[string]*exchangev1.SubmitStreamRequest{
		"empty envelopes":     {Envelopes: empties},
		"empty recipients":    {Envelopes: []*exchangev1.Envelope{{Recipients: make([]string, many)}}},
		"both, half and half": {Envelopes: append([]*exchangev1.Envelope{{Recipients: make([]string, many/2)}}, empties[:many/2]...)},
	} {
		stream, err := node.SubmitStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(many)) {
			t.Errorf("%s: %v; want a refusal that names the bound", name, err)
		}
	}
	_, err := node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: make([]uint64, many)})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(many)) {
		t.Errorf("packed numbers: %v; want a refusal that names the bound", err)
	}
	// As many as the bound are the rules' to refuse, in both languages.
	_, err = node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: make([]uint64, many-1)})
	wantRefused(t, err, codes.InvalidArgument, "request_invalid")
}

// Nothing of a stranger's message is read: it is refused for the certificate and
// not for its size.
func TestStrangersAreRefusedBeforeTheirMessage(t *testing.T) {
	t.Parallel()
	d := open(t, &services{})
	big := envelope("big")
	big.Content = make([]byte, maxMessage)
	_, err := exchangev1.NewExchangeServiceClient(d.dial(nil)).Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: big})
	wantRefused(t, err, codes.Unauthenticated, "certificate_missing")
}

func TestAPanicEndsOneCallOnly(t *testing.T) {
	t.Parallel()
	d := open(t, &services{
		pull:    func(context.Context) error { panic("secret of the hub") },
		receive: func(exchangev1.ExchangeService_ReceiveServer) error { panic("secret of the hub") },
	})
	node := d.node("H41/motcua")
	_, unary := node.Pull(t.Context(), &exchangev1.PullRequest{})
	stream, err := node.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	for _, err := range []error{unary, streamed} {
		wantRefused(t, err, codes.Internal, "internal")
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the caller is told %v", err)
		}
	}
	if _, err := node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: []uint64{1}}); err != nil {
		t.Errorf("the next call on the connection: %v", err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if log := d.log.String(); strings.Count(log, "secret of the hub") != 2 || !strings.Contains(log, "messages_test.go") {
		t.Errorf("the log does not tell of both panics and where they were:\n%s", log)
	}
}

// What a handler's failure says is for the log; what an answering node wrote is
// for the asker, and never for the log.
func TestWhatIsToldToWhom(t *testing.T) {
	t.Parallel()
	failure := make(chan error, 1)
	d := open(t, &services{pull: func(context.Context) error { return <-failure }})
	node := d.node("H41/motcua")
	for _, c := range []struct {
		err    error
		code   codes.Code
		text   string
		told   bool // the caller is told the text
		logged bool
	}{
		{errors.New("pebble: disk-is-broken"), codes.Internal, "disk-is-broken", false, true},
		{fault.New(codes.Internal, "answerer_error", "no person Nguyen-Thi-X", "không có"), codes.Internal, "Nguyen-Thi-X", true, false},
		{fault.New(codes.NotFound, "packet_not_found", "no packet", "không có").Because(errors.New("cause-of-it")), codes.NotFound, "cause-of-it", false, false},
	} {
		failure <- c.err
		_, err := node.Pull(t.Context(), &exchangev1.PullRequest{})
		told := fault.From(err)
		if told.Code != c.code || strings.Contains(told.EN, c.text) != c.told {
			t.Errorf("%v: the caller is told %s %q", c.err, told.Code, told.EN)
		}
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	for text, logged := range map[string]bool{"disk-is-broken": true, "Nguyen-Thi-X": false, "cause-of-it": false, `"caller":"H41/motcua"`: true} {
		if strings.Contains(d.log.String(), text) != logged {
			t.Errorf("%q in the log: %v; want %v", text, !logged, logged)
		}
	}
}

// A message of more fields than are read is refused as the caller's mistake, in calls
// and in streams: nobody is to send it again.
func TestTooManyFieldsAreTheCallersMistake(t *testing.T) {
	t.Parallel()
	d := open(t, &services{receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
		_, err := stream.Recv()
		return err
	}}, func(c *rpc.Config) { c.MaxMessageBytes = 2 << 20 })
	node := d.node("H41/motcua")
	many := make([]uint64, 1<<18+1)
	for i := range many {
		many[i] = uint64(i) + 1
	}
	_, unary := node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: many})
	stream, err := node.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&exchangev1.ReceiveRequest{Acknowledge: many}); err != nil {
		t.Fatal(err)
	}
	_, streamed := stream.Recv()
	for _, err := range []error{unary, streamed} {
		wantRefused(t, err, codes.InvalidArgument, "too_many_fields")
		if told := fault.From(err); told.RetryAfter != 0 || told.VI == told.EN || !strings.Contains(told.EN, "262144") {
			t.Errorf("it is told as %q, %q, try again after %v", told.EN, told.VI, told.RetryAfter)
		}
	}
}

// A stream that its caller has had enough of is no refusal, and no news.
func TestAStreamThatItsCallerEndsIsNotLoggedAsRefused(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}, 1), make(chan error, 1)
	d := open(t, &services{submit: func(stream exchangev1.ExchangeService_SubmitStreamServer) error {
		_, err := stream.Recv()
		begun <- struct{}{}
		if err == nil {
			_, err = stream.Recv()
		}
		left <- err
		return err
	}})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := d.node("H41/motcua").SubmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{envelope("a")}}); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, begun, "the beginning of the stream")
	cancel()
	if err := within(t, 10*time.Second, left, "the end of the stream"); err == nil {
		t.Error("the stream was not ended")
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if log := d.log.String(); strings.Contains(log, "call refused") || !strings.Contains(log, `"level":"DEBUG","msg":"call ended by its caller"`) {
		t.Errorf("the log says\n%s", log)
	}
}
