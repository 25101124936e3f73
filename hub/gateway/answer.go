package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// The numbers of MResult.Status.
const (
	statusAccepted int32 = 1
	statusRefused  int32 = 0
)

// The answers when even an answer cannot be written.
const (
	lastResortXML  = `<?xml version="1.0" encoding="UTF-8"?><MResult><Status>0</Status><Message>internal</Message></MResult>`
	lastResortJSON = `{"Status":0,"Message":"internal"}`
)

// send writes a whole answer.
func (c *call) send(status int, contentType string, body []byte) {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the caller has gone; there is nobody to tell
}

// reply answers with an official document in the media type of the call.
func (g *gateway) reply(c *call, status int, document proto.Message) error {
	format, _ := formatOf(c.answer)
	body, err := g.codec.Encode(document, format)
	if err != nil {
		return fault.Internal(fmt.Errorf("write answer: %w", err))
	}
	c.send(status, c.answer+"; charset=utf-8", body)
	return nil
}

// result answers with an MResult.
func (g *gateway) result(c *call, httpStatus int, status int32, message string) error {
	return g.reply(c, httpStatus, &packetv1.MResult{Status: proto.Int32(status), Message: proto.String(plainText(message))})
}

// refuse answers a call that failed and logs why, once.
func (g *gateway) refuse(c *call, err error) {
	c.refusal = presentable(err)
	status := statusOf(c.refusal)
	h := c.w.Header()
	if wait := retryAfter(c.refusal); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	switch c.refusal.Reason {
	case "encoding_unsupported":
		h.Set("Accept-Encoding", "identity")
	case "body_too_slow", "body_incomplete", "body_too_large", "edge_busy":
		// What is left of the body is not read. In HTTP/2 that ends this call alone;
		// the header would end the connection, and the answer with it.
		if c.r.ProtoMajor == 1 {
			h.Set("Connection", "close")
		}
	}
	if status == http.StatusUnauthorized {
		// RFC 9110 wants a challenge; TLS is where the certificate is asked for.
		h.Set("WWW-Authenticate", `ClientCertificate realm="lienthong"`)
	}
	level := slog.LevelInfo
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	defer g.log(c, level)
	if c.problem {
		c.send(status, typeProblem, problemOf(c.refusal, status, c.id))
		return
	}
	if err := g.result(c, status, statusRefused, refusalText(c.refusal)); err != nil {
		g.lastResort(c, err)
	}
}

func (g *gateway) lastResort(c *call, cause error) {
	c.refusal = presentable(cause)
	body := lastResortXML
	if c.answer == typeJSON {
		body = lastResortJSON
	}
	c.send(http.StatusInternalServerError, c.answer+"; charset=utf-8", []byte(body))
}

// log writes the line of a call.
func (g *gateway) log(c *call, level slog.Level) {
	attrs := []slog.Attr{
		slog.String("request_id", c.id), slog.String("route", c.route),
		slog.Int("status", c.w.status), slog.Int64("bytes_out", c.w.bytes),
		slog.Int64("took_us", g.now().Sub(c.started).Microseconds()),
	}
	message := "request"
	if c.refusal != nil {
		message = "request refused"
		attrs = append(attrs, slog.String("code", c.refusal.Code.String()), slog.String("reason", c.refusal.Reason))
		if c.refusal.Code == codes.Internal && c.refusal.Unwrap() != nil {
			attrs = append(attrs, slog.Any("error", c.refusal.Unwrap()))
		}
	}
	g.logger.LogAttrs(c.r.Context(), level, message, attrs...)
}

// receiptText says what a receipt states, for MResult.Message.
func receiptText(s *exchangev1.Statement) string {
	at := officialTime(s.GetAcceptedAt().AsTime())
	warnings := len(s.GetWarnings())
	var b strings.Builder
	fmt.Fprintf(&b, "Đã tiếp nhận: số thứ tự %d, mã %s, lúc %s, %d cảnh báo. / Accepted: sequence %d, id %s, at %s, %s.",
		s.GetSequence(), s.GetEnvelopeId(), at, warnings,
		s.GetSequence(), s.GetEnvelopeId(), at, counted(warnings, "warning", "warnings"))
	writeFindings(&b, s.GetWarnings())
	return b.String()
}

// refusalText says why a call was refused, with every violation on a line of its
// own, in Vietnamese, then English.
func refusalText(refused *fault.Error) string {
	var b strings.Builder
	b.WriteString(bilingual(refused.VI, refused.EN))
	writeFindings(&b, refused.Findings)
	return b.String()
}

// writeFindings writes a line for each finding: where it is, how grave, and in both
// languages what is wrong, what was sent and, of liberties, what that was read as.
func writeFindings(b *strings.Builder, findings []*packetv1.Finding) {
	for _, f := range findings {
		b.WriteString("\n" + f.GetField())
		if f.GetLine() > 0 {
			fmt.Fprintf(b, " (%d:%d)", f.GetLine(), f.GetColumn())
		}
		b.WriteString(": ")
		if f.GetSeverity() == packetv1.Severity_SEVERITY_WARNING {
			b.WriteString("[cảnh báo/warning] ")
		}
		b.WriteString(bilingual(
			told(f, f.GetMessageVi(), `; đã gửi "`, `, hiểu là "`), told(f, f.GetMessageEn(), `; sent "`, `, read as "`)))
	}
}

// told returns a text of a finding with what was sent and understood, in the words
// given; unless the text repeats what was sent already. Findings hold personal data
// masked and long values cut.
func told(f *packetv1.Finding, text, sent, understood string) string {
	if f.GetSent() == "" || strings.Contains(text, `"`+f.GetSent()+`"`) {
		return text
	}
	text += sent + f.GetSent() + `"`
	if f.GetUnderstood() != "" {
		text += understood + f.GetUnderstood() + `"`
	}
	return text
}

func bilingual(vi, en string) string {
	if vi == en || en == "" {
		return vi
	}
	return vi + " / " + en
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// officialTime writes a time as the official format does.
func officialTime(t time.Time) string {
	return t.In(time.FixedZone("", 7*60*60)).Format("2006-01-02T15:04:05.000-07:00")
}

// plainText replaces what XML 1.0 cannot hold.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (r >= 0x20 && r != 0xFFFE && r != 0xFFFF) {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// problem is a refusal as RFC 9457 writes it.
type problem struct {
	Type       string            `json:"type"`
	Title      string            `json:"title"`
	Status     int               `json:"status"`
	Detail     string            `json:"detail"`
	DetailVi   string            `json:"detailVi"`
	Reason     string            `json:"reason"`
	RequestID  string            `json:"requestId"`
	RetryAfter int               `json:"retryAfterSeconds,omitempty"`
	Violations []json.RawMessage `json:"violations,omitempty"`
}

func problemOf(refused *fault.Error, status int, requestID string) []byte {
	p := problem{
		Type: "urn:lienthong:problem:" + refused.Reason, Title: titleOf(status), Status: status,
		Detail: refused.EN, DetailVi: refused.VI, Reason: refused.Reason, RequestID: requestID,
		RetryAfter: int(math.Ceil(retryAfter(refused).Seconds())),
	}
	for _, f := range refused.Findings {
		written, err := protojson.Marshal(f)
		if err != nil { // text that is not UTF-8: the field and the rule are what is left to tell
			written, err = protojson.Marshal(&packetv1.Finding{Severity: f.GetSeverity(), Rule: strings.ToValidUTF8(f.GetRule(), "")})
		}
		if err == nil {
			p.Violations = append(p.Violations, written)
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return []byte(`{"type":"about:blank","status":` + strconv.Itoa(status) + `}`)
	}
	return body
}

func titleOf(status int) string {
	if status == 499 { // not registered, but what proxies call it
		return "Client Closed Request"
	}
	return http.StatusText(status)
}
