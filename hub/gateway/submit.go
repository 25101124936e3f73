package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// submit takes an official document and forwards it as the bytes that came; the
// hub reads and validates it.
func (g *gateway) submit(ctx context.Context, c *call, typ packetv1.PacketType) error {
	content, mediaType, err := g.document(c)
	if err != nil {
		return err
	}
	format, _ := formatOf(mediaType)
	envelope := &exchangev1.Envelope{Type: typ, Format: format, Content: content}
	if err := addressed(c.r, envelope); err != nil {
		return err
	}
	// The packet is on its way: a caller that closes its side now, as HTTP/1.0
	// clients may, still gets its receipt, and one that has gone gets it when it
	// sends again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callWithin)
	defer cancel()
	resp, err := g.exchange.Submit(ctx, &exchangev1.SubmitRequest{Envelope: envelope})
	if err != nil {
		return err //nolint:wrapcheck // edgeConn has made it presentable
	}
	receiptHeaders(c.w.Header(), resp.GetStatement())
	return g.result(c, http.StatusOK, statusAccepted, receiptText(resp.GetStatement()))
}

// receiptHeaders says where an accepted packet is.
func receiptHeaders(h http.Header, s *exchangev1.Statement) {
	sequence := strconv.FormatUint(s.GetSequence(), 10)
	h.Set("X-LienThong-Sequence", sequence)
	h.Set("X-LienThong-Envelope-Id", s.GetEnvelopeId())
	h.Set("Location", packetsRoot+sequence)
}

// addressed reads what a request says about its packet beside the packet.
func addressed(r *http.Request, envelope *exchangev1.Envelope) error {
	onBehalfOf, err := said(r, "X-LienThong-On-Behalf-Of", "on-behalf-of")
	if err != nil {
		return err
	}
	to, err := said(r, "X-LienThong-To", "to")
	if err != nil {
		return err
	}
	envelope.OnBehalfOf = onBehalfOf
	for recipient := range strings.SplitSeq(to, ",") {
		recipient = strings.TrimSpace(recipient)
		if recipient != "" && !slices.Contains(envelope.GetRecipients(), recipient) {
			envelope.Recipients = append(envelope.Recipients, recipient)
		}
	}
	envelope.Id, err = idempotencyKey(r.Header)
	if err == nil && envelope.GetId() == "" {
		envelope.Id = packet.EnvelopeID(envelope)
	}
	return err
}

// said returns what a request says in a header or in its query; both at once
// have to say the same.
func said(r *http.Request, header, query string) (string, error) {
	values := append([]string{}, r.Header.Values(header)...)
	values = append(values, r.URL.Query()[query]...)
	if len(values) == 0 {
		return "", nil
	}
	for _, value := range values {
		if value != values[0] {
			return "", errHeader(header, "given more than once, with different values", "được khai nhiều lần với giá trị khác nhau")
		}
	}
	if !utf8.ValidString(values[0]) {
		return "", errHeader(header, "is not UTF-8", "không phải UTF-8")
	}
	return strings.TrimSpace(values[0]), nil
}

// idempotencyKey returns the caller's own id for a packet, bare or as the quoted
// string that the IETF draft of the header writes; empty where there is none.
func idempotencyKey(header http.Header) (string, error) {
	const name = "Idempotency-Key"
	values := header.Values(name)
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(values) > 1 || !plainToken(key) {
		return "", errHeader(name,
			"send it once, 1 to 128 characters out of letters, digits and . _ : -",
			"chỉ gửi một lần, từ 1 đến 128 ký tự gồm chữ cái không dấu, chữ số và . _ : -")
	}
	return key, nil
}
