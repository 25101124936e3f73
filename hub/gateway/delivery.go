package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// The bounds of the Exchange's unary way back.
const (
	maxDeliveries  = 1024
	maxWaitSeconds = 60
)

// pull hands out what waits for the caller.
func (g *gateway) pull(ctx context.Context, c *call) error {
	req, err := pullRequest(c.r.URL)
	if err != nil {
		return err
	}
	resp, err := g.exchange.Pull(ctx, req)
	if err != nil && c.r.Context().Err() != nil {
		// The caller closed its side while it waited: nothing came.
		resp, err = &exchangev1.PullResponse{}, nil
	}
	if err != nil {
		return err //nolint:wrapcheck // edgeConn has made it presentable
	}
	answer := &edgev1.MDeliveries{}
	for _, delivery := range resp.GetDeliveries() {
		answer.Deliveries = append(answer.Deliveries, g.delivery(delivery))
	}
	if len(answer.GetDeliveries()) > 0 {
		answer.LeaseUntil = resp.GetLeaseUntil()
	}
	return g.reply(c, http.StatusOK, answer)
}

func pullRequest(u *url.URL) (*exchangev1.PullRequest, error) {
	query, err := queryOf(u)
	if err != nil {
		return nil, err
	}
	var findings []*packetv1.Finding
	number := func(name string, least, most uint64) uint32 {
		values, given := query[name]
		if !given {
			return 0
		}
		n, err := strconv.ParseUint(strings.TrimSpace(values[0]), 10, 32)
		if err != nil || n < least || n > most || len(values) > 1 {
			findings = append(findings, violation(name, "range", strings.Join(values, ","),
				fmt.Sprintf("has to be one number from %d to %d", least, most), fmt.Sprintf("phải là một số từ %d đến %d", least, most)))
		}
		return uint32(n) //nolint:gosec // parsed as 32 bits
	}
	req := &exchangev1.PullRequest{Max: number("max", 1, maxDeliveries), WaitSeconds: number("wait", 0, maxWaitSeconds)}
	if len(findings) > 0 {
		return nil, errQuery(findings)
	}
	return req, nil
}

// queryOf reads the query of an address.
func queryOf(u *url.URL) (url.Values, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fault.New(codes.InvalidArgument, "query_invalid",
			"the query of the address cannot be read: a % has to be followed by two hexadecimal digits, and parameters are parted by &",
			"không đọc được tham số truy vấn: sau dấu % phải là hai chữ số thập lục phân, các tham số cách nhau bằng &").Because(err)
	}
	return query, nil
}

func errQuery(findings []*packetv1.Finding) *fault.Error {
	return fault.New(codes.InvalidArgument, "query_invalid",
		"the query of the address is not valid", "tham số truy vấn không hợp lệ").With(findings)
}

// delivery writes a delivery in the official manner. A packet this edge cannot
// read is shown as such: its recipient has to learn of it.
func (g *gateway) delivery(d *exchangev1.Delivery) *edgev1.MDelivery {
	accepted := d.GetPacket()
	m := &edgev1.MDelivery{
		DeliveryId: strconv.FormatUint(accepted.GetSequence(), 10), Sender: accepted.GetSender(),
		Organisation: accepted.GetOnBehalfOf(), AcceptedAt: accepted.GetAcceptedAt(),
		Attempt: int32(d.GetAttempt()), //nolint:gosec // counts redeliveries
	}
	envelope := accepted.GetEnvelope()
	if envelope.GetUpload() != nil {
		m.Problem = proto.String(bilingual("gói tin lớn; lấy nội dung tại", "the packet is large; its content is at") +
			" " + packetsRoot + m.GetDeliveryId() + contentSuffix)
		return m
	}
	read, err := g.codec.Decode(envelope.GetType(), envelope.GetFormat(), envelope.GetContent())
	if err == nil {
		err = embed(m, read.Message)
	}
	if err != nil {
		m.Problem = proto.String(bilingual("không đọc được gói tin; lấy nội dung gốc tại", "the packet cannot be read; its content is at") +
			" " + packetsRoot + m.GetDeliveryId() + contentSuffix)
	}
	return m
}

func embed(m *edgev1.MDelivery, message proto.Message) error {
	switch p := message.(type) {
	case *packetv1.MSyncDocument:
		m.MSyncDocument = p
	case *packetv1.MDocumentTraces:
		m.MDocumentTraces = p
	case *packetv1.MVotes:
		m.MVotes = p
	case *packetv1.MStatistic:
		m.MStatistic = p
	default:
		return fmt.Errorf("packet of type %T", message)
	}
	return nil
}

// acknowledge takes deliveries off the caller's inbox.
func (g *gateway) acknowledge(ctx context.Context, c *call) error {
	content, mediaType, err := g.document(c)
	if err != nil {
		return err
	}
	format, _ := formatOf(mediaType)
	sequences, err := g.acknowledged(format, content)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWithin)
	defer cancel()
	resp, err := g.exchange.Acknowledge(ctx, &exchangev1.AcknowledgeRequest{Sequences: sequences})
	if err != nil {
		return err //nolint:wrapcheck // edgeConn has made it presentable
	}
	return g.result(c, http.StatusOK, statusAccepted, acknowledgedText(resp))
}

// acknowledged reads an MAcknowledge.
func (g *gateway) acknowledged(format exchangev1.Format, content []byte) ([]uint64, error) {
	m := &edgev1.MAcknowledge{}
	if err := g.told(m, format, content); err != nil {
		return nil, err
	}
	return deliveryIDs("MAcknowledge", m.GetDeliveryId())
}

// told reads a document in which a caller says what became of deliveries.
func (g *gateway) told(m proto.Message, format exchangev1.Format, content []byte) error {
	_, err := g.codec.DecodeMessage(m, format, content)
	if err == nil {
		return nil
	}
	name := string(m.ProtoReflect().Descriptor().Name())
	if invalid, ok := errors.AsType[*packet.InvalidError](err); ok {
		return errTold(name, invalid.Findings)
	}
	return errTold(name, nil).Because(err)
}

// deliveryIDs returns the sequences of deliveries that a document names, each once.
func deliveryIDs(document string, ids []string) ([]uint64, error) {
	var sequences []uint64
	var findings []*packetv1.Finding
	if n := len(ids); n == 0 || n > maxDeliveries {
		return nil, errTold(document, []*packetv1.Finding{violation(document+".DeliveryId", "count", strconv.Itoa(n),
			fmt.Sprintf("from 1 to %d are taken at once", maxDeliveries), fmt.Sprintf("mỗi lần nhận từ 1 đến %d giá trị", maxDeliveries))})
	}
	for i, id := range ids {
		sequence, err := strconv.ParseUint(strings.TrimSpace(id), 10, 64)
		if err != nil || sequence == 0 {
			findings = append(findings, violation(fmt.Sprintf("%s.DeliveryId[%d]", document, i), "delivery_id", id,
				"is not the DeliveryId of a delivery", "không phải DeliveryId của một lượt gửi"))
		} else if !slices.Contains(sequences, sequence) {
			sequences = append(sequences, sequence)
		}
	}
	if len(findings) > 0 {
		return nil, errTold(document, findings)
	}
	return sequences, nil
}

// violation returns a finding that refuses what was sent to the edge itself.
func violation(field, rule, sent, en, vi string) *packetv1.Finding {
	return &packetv1.Finding{
		Severity: packetv1.Severity_SEVERITY_ERROR, Field: field, Rule: rule, Sent: cut(sent),
		MessageEn: en, MessageVi: vi,
	}
}

func errTold(document string, findings []*packetv1.Finding) *fault.Error {
	reasons := map[string]string{"MAcknowledge": "acknowledge_invalid", "MReject": "reject_invalid"}
	return fault.New(codes.InvalidArgument, reasons[document], "the "+document+" is not valid", document+" không hợp lệ").With(findings)
}

func acknowledgedText(resp *exchangev1.AcknowledgeResponse) string {
	done := len(resp.GetAcknowledged())
	vi := fmt.Sprintf("Đã xác nhận %d lượt gửi.", done)
	en := fmt.Sprintf("Acknowledged %s.", counted(done, "delivery", "deliveries"))
	if list := listed(resp.GetNotWaiting()); list != "" {
		vi += " Không còn chờ nhận: " + list + "."
		en += " Were not waiting: " + list + "."
	}
	return bilingual(vi, en)
}
