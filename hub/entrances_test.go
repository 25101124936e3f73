package hub_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

// outcome is what a door answered.
type outcome struct {
	refused  bool
	reason   string
	findings []*packetv1.Finding
	// text has the findings, at doors that have no other place for them.
	text string
}

// entrance is a door that packets come in by.
type entrance struct {
	name   string
	format exchangev1.Format
	send   func(*testing.T, *hubtest.Hub, *member, *exchangev1.Envelope) outcome
}

func entrances() []entrance {
	official := func(t *testing.T, h *hubtest.Hub, m *member, env *exchangev1.Envelope) outcome {
		status, body := request(t, m, h.EdgeURL()+"/Vote/UpdateVote", env.GetId(), mediaTypeOf(env.GetFormat()), env.GetContent())
		text := readResult(t, env.GetFormat(), body).GetMessage()
		return outcome{refused: status != http.StatusOK, text: text}
	}
	return []entrance{
		{"gRPC call", formatXML, func(t *testing.T, _ *hubtest.Hub, m *member, env *exchangev1.Envelope) outcome {
			accepted, err := m.Submit(t.Context(), env)
			return outcomeOf(t, accepted, err)
		}},
		{"gRPC call, JSON", formatJSON, func(t *testing.T, _ *hubtest.Hub, m *member, env *exchangev1.Envelope) outcome {
			accepted, err := m.Submit(t.Context(), env)
			return outcomeOf(t, accepted, err)
		}},
		{"gRPC stream", formatXML, func(t *testing.T, _ *hubtest.Hub, m *member, env *exchangev1.Envelope) outcome {
			s := openStream(t, m)
			defer s.close()
			result := s.send(env)
			return outcomeOf(t, result.Accepted, result.Err)
		}},
		{"official address, XML", formatXML, official},
		{"official address, JSON", formatJSON, official},
		{"REST", formatXML, sendREST},
	}
}

func sendREST(t *testing.T, h *hubtest.Hub, m *member, env *exchangev1.Envelope) outcome {
	t.Helper()
	body, err := protojson.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	status, answer := request(t, m, h.EdgeURL()+"/v1/packets", "", "application/json", body)
	lenient := protojson.UnmarshalOptions{DiscardUnknown: true}
	if status == http.StatusOK {
		accepted := &exchangev1.SubmitResponse{}
		if err := lenient.Unmarshal(answer, accepted); err != nil {
			t.Fatal(err)
		}
		return outcome{findings: accepted.GetStatement().GetWarnings()}
	}
	// Problem details hold findings under "violations".
	refusal := &faultv1.Refusal{}
	if err := lenient.Unmarshal(bytes.Replace(answer, []byte(`"violations":`), []byte(`"findings":`), 1), refusal); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	return outcome{refused: true, reason: refusal.GetReason(), findings: refusal.GetFindings()}
}

func outcomeOf(t *testing.T, accepted *nodes.Accepted, err error) outcome {
	t.Helper()
	var refused *nodes.Refused
	switch {
	case errors.As(err, &refused):
		return outcome{refused: true, reason: refused.Reason(), findings: refused.Refusal.GetFindings()}
	case err != nil:
		t.Fatal(err)
	}
	return outcome{findings: accepted.Statement.GetWarnings()}
}

func mediaTypeOf(format exchangev1.Format) string {
	if format == formatJSON {
		return "application/json"
	}
	return "application/xml"
}

// request posts a body to the HTTPS edge as a node, with an Idempotency-Key where
// there is one.
func request(t *testing.T, m *member, url, key, mediaType string, content []byte) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return do(t, m, req)
}

// get fetches from the HTTPS edge as a node.
func get(t *testing.T, m *member, url, accept string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	return do(t, m, req)
}

func do(t *testing.T, m *member, req *http.Request) (status int, body []byte) {
	t.Helper()
	resp, err := m.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func readResult(t *testing.T, format exchangev1.Format, body []byte) *packetv1.MResult {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	result := &packetv1.MResult{}
	if _, err := codec.DecodeMessage(result, format, body); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return result
}

// liveStream is a submit stream of a node, used one envelope at a time.
type liveStream struct {
	t       *testing.T
	to      *nodes.Submitter
	results chan nodes.Result
}

func openStream(t *testing.T, m *member) *liveStream {
	t.Helper()
	s := &liveStream{t: t, results: make(chan nodes.Result, 1)}
	var err error
	s.to, err = m.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: func(r nodes.Result) { s.results <- r }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *liveStream) send(env *exchangev1.Envelope) nodes.Result {
	s.t.Helper()
	if err := s.to.Send(s.t.Context(), env); err != nil {
		s.t.Fatal(err)
	}
	return <-s.results
}

func (s *liveStream) close() {
	s.t.Helper()
	if err := s.to.CloseAndWait(s.t.Context()); err != nil {
		s.t.Errorf("the stream ended with: %v", err)
	}
}
