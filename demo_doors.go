package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes"
)

// door is one of the ways into the hub.
type door struct {
	name   string
	format exchangev1.Format
	// submit returns the receipt, or why the packet was refused.
	submit func(ctx context.Context, n *demoNode, env *exchangev1.Envelope) (*exchangev1.Receipt, *refusal, error)
}

// refusal is a refusal as a person reads it.
type refusal struct {
	what   string
	status string // gRPC code or HTTP status
	lines  []string
}

func (d *demo) doors() []door {
	return []door{
		{"gRPC stream", exchangev1.Format_FORMAT_XML, throughStream},
		{"REST/XML", exchangev1.Format_FORMAT_XML, d.throughREST},
		{"REST/JSON", exchangev1.Format_FORMAT_JSON, d.throughREST},
	}
}

// throughStream submits over a pipelined gRPC stream of the node's own.
func throughStream(ctx context.Context, n *demoNode, env *exchangev1.Envelope) (*exchangev1.Receipt, *refusal, error) {
	result, err := n.submit(ctx, env)
	var refused *nodes.Refused
	if errors.As(err, &refused) {
		lines := []string{refused.Refusal.GetMessageEn()}
		for _, f := range refused.Refusal.GetFindings() {
			lines = append(lines, findingLine(f))
		}
		return nil, &refusal{status: "gRPC " + codes.Code(refused.Refusal.GetCode()).String(), lines: lines}, nil
	}
	return result, nil, err
}

func findingLine(f *packetv1.Finding) string {
	return fmt.Sprintf("%s (%d:%d): %s", f.GetField(), f.GetLine(), f.GetColumn(), f.GetMessageEn())
}

// officialPath is where systems in production post a type of packet.
func officialPath(typ packetv1.PacketType) string {
	switch typ {
	case packetv1.PacketType_PACKET_TYPE_PROGRESS:
		return "/Document/UpdateDocumentTraces"
	case packetv1.PacketType_PACKET_TYPE_STATISTIC:
		return "/Statistic/UpdateStatistic"
	case packetv1.PacketType_PACKET_TYPE_SURVEY:
		return "/Vote/UpdateVote"
	default:
		return "/Document/SyncDocument"
	}
}

// throughREST posts the official document to the official path, then fetches the
// signed receipt.
func (d *demo) throughREST(ctx context.Context, n *demoNode, env *exchangev1.Envelope) (*exchangev1.Receipt, *refusal, error) {
	contentType := "application/xml; charset=utf-8"
	if env.GetFormat() == exchangev1.Format_FORMAT_JSON {
		contentType = "application/json"
	}
	header := http.Header{"Content-Type": {contentType}, "Idempotency-Key": {env.GetId()}}
	answer, err := d.call(ctx, n.http, http.MethodPost, officialPath(env.GetType()), header, env.GetContent())
	if err != nil {
		return nil, nil, err
	}
	if answer.status != http.StatusOK {
		message, err := resultMessage(answer)
		if err != nil {
			return nil, nil, err
		}
		return nil, &refusal{status: "HTTP " + strconv.Itoa(answer.status), lines: englishLines(message)}, nil
	}
	receipt, err := d.call(ctx, n.http, http.MethodGet, answer.header.Get("Location")+"/receipt", nil, nil)
	if err != nil {
		return nil, nil, err
	}
	var got exchangev1.GetReceiptResponse
	if err := protojson.Unmarshal(receipt.body, &got); err != nil {
		return nil, nil, fmt.Errorf("receipt: %w", err)
	}
	return got.GetReceipt(), nil, nil
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

const maxAnswer = 32 << 20

// call makes one call of the HTTPS edge.
func (d *demo) call(ctx context.Context, client *http.Client, method, path string, header http.Header, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.hub.EdgeURL()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", path, err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("call %s: %w", path, err)
	}
	return answer{resp.StatusCode, resp.Header, content}, nil
}

// resultMessage reads MResult.Message as an agency's own system would, without
// this project's code.
func resultMessage(a answer) (string, error) {
	var result struct {
		Status  int
		Message string
	}
	var err error
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		err = json.Unmarshal(a.body, &result)
	} else {
		err = xml.Unmarshal(a.body, &result)
	}
	if err != nil {
		return "", fmt.Errorf("read MResult of HTTP %d: %w", a.status, err)
	}
	return result.Message, nil
}

// englishLines keeps the English half of "Vietnamese / English" lines.
func englishLines(message string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(message), "\n") {
		vi, en, both := strings.Cut(line, " / ")
		if field, _, named := strings.Cut(vi, ": "); both && named {
			en = field + ": " + en
		}
		if !both {
			en = vi
		}
		lines = append(lines, en)
	}
	return lines
}
