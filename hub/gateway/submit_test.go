package gateway_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

func TestEveryOfficialAddressForwardsTheBytesThatCame(t *testing.T) {
	e := startEdge(t, nil)
	for _, d := range doors() {
		for mediaType, body := range map[string]string{xmlType: d.xml, "text/xml": d.xml + "\n", jsonType: d.json} {
			got := e.post(d.path, mediaType+"; charset=utf-8", body)
			got.wantAccepted(t, mediaType)
			envelopes := e.exchange.envelopes()
			last := envelopes[len(envelopes)-1]
			if string(last.GetContent()) != body {
				t.Errorf("%s as %s: forwarded %q, sent %q", d.path, mediaType, last.GetContent(), body)
			}
			if want := map[bool]any{true: formatJSON, false: formatXML}[mediaType == jsonType]; last.GetType() != d.typ || any(last.GetFormat()) != want {
				t.Errorf("%s as %s: forwarded as %v %v", d.path, mediaType, last.GetType(), last.GetFormat())
			}
			if id := got.Header.Get("X-LienThong-Envelope-Id"); id != last.GetId() || !regexp.MustCompile(`^auto-[0-9a-f]{64}$`).MatchString(id) {
				t.Errorf("envelope id is %q, header says %q", last.GetId(), id)
			}
			if sequence := got.Header.Get("X-LienThong-Sequence"); got.Header.Get("Location") != "/v1/packets/"+sequence {
				t.Errorf("sequence %q is at %q", sequence, got.Header.Get("Location"))
			}
		}
	}
	if n := len(e.exchange.envelopes()); n != 3*len(doors()) {
		t.Errorf("%d packets were accepted", n)
	}
}

func TestReceiptNamesSequenceIDTimeAndWarnings(t *testing.T) {
	e := startEdge(t, nil)
	body := strings.Replace(statisticXML, "<Total>100<", "<Total>101<", 1)
	_, message := e.post("/Statistic/UpdateStatistic", xmlType, body, "Idempotency-Key", "2024-01:H41").result(t)
	for _, want := range []string{"sequence 1", "id 2024-01:H41", "at 2026-11-24T08:02:03.000+07:00", "Đã tiếp nhận", "cảnh báo", "MStatistic."} {
		if !strings.Contains(message, want) {
			t.Errorf("%q is not in %q", want, message)
		}
	}
	if !strings.Contains(message, ": [cảnh báo/warning] ") {
		t.Errorf("the warning is not marked as one: %q", message)
	}
	spelt := strings.Replace(statisticXML, "<Total>100<", "<Total> 100 <", 1)
	if _, message = e.post("/Statistic/UpdateStatistic", xmlType, spelt).result(t); !strings.Contains(message, `; đã gửi " 100 ", hiểu là "100" / `) || !strings.HasSuffix(message, `; sent " 100 ", read as "100"`) {
		t.Errorf("the liberty does not say what was sent and understood: %q", message)
	}
	if strings.Contains(message, "0 warnings") {
		t.Errorf("a total that does not add up gave no warning: %q", message)
	}
}

// A refusal says of each violation what was sent, in both languages; what is personal
// stays masked.
func TestRefusalsSayWhatWasSent(t *testing.T) {
	e := startEdge(t, nil)
	wrong := strings.NewReplacer("<Total>100<", "<Total>abc<").Replace(statisticXML)
	_, message := e.post("/Statistic/UpdateStatistic", xmlType, wrong).result(t)
	if !strings.Contains(message, `; đã gửi "abc" / `) || !strings.Contains(message, `; sent "abc"`) {
		t.Errorf("the refusal is %q", message)
	}
	const secret = "0900abc001"
	wrong = strings.NewReplacer("<Phone>0900000001<", "<Phone>"+strings.Repeat(secret, 20)+"<", "<IsSuccess>false", "<IsSuccess>x").Replace(dossierXML)
	_, message = e.post("/Document/SyncDocument", xmlType, wrong).result(t)
	if !strings.Contains(message, `; sent "x"`) || strings.Contains(message, secret) {
		t.Errorf("the refusal is %q", message)
	}
}

// A body that is not what its Content-Type says is named for what it is.
func TestTheOtherFormatIsNamed(t *testing.T) {
	e := startEdge(t, nil)
	for _, d := range append(doors(), door{path: "/Delivery/Acknowledge", xml: "<MAcknowledge/>", json: "{}"}) {
		for _, tc := range []struct{ said, body, vi, en string }{
			{jsonType, d.xml, "đây là XML, nhưng Content-Type là application/json", "this is XML, but Content-Type says application/json; send it as application/xml"},
			{xmlType, d.json, "đây là JSON, nhưng Content-Type là application/xml", "this is JSON, but Content-Type says application/xml; send it as application/json"},
			{"text/xml", d.json, "đây là JSON, nhưng Content-Type là text/xml", "this is JSON, but Content-Type says text/xml"},
		} {
			got := e.post(d.path, tc.said, tc.body)
			_, message := got.result(t)
			if got.StatusCode != http.StatusBadRequest || !strings.Contains(message, tc.vi) || !strings.Contains(message, tc.en) {
				t.Errorf("%s as %s: got %d %q", d.path, tc.said, got.StatusCode, message)
			}
		}
	}
	if len(e.exchange.envelopes()) != 0 {
		t.Error("something was accepted")
	}
}

// Any bytes at all reach the hub unchanged, unless they are evidently not what their
// Content-Type says; whether they are a packet is its question.
func TestForwardsAnyBytes(t *testing.T) {
	e := startEdge(t, nil)
	e.exchange.blind = true
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 4096).Draw(rt, "body")
		d := rapid.SampledFrom(doors()).Draw(rt, "door")
		mediaType := rapid.SampledFrom([]string{xmlType, jsonType}).Draw(rt, "type")
		got := e.post(d.path, mediaType, string(body))
		if is := packet.Sniff(body); is == formatXML && mediaType == jsonType || is == formatJSON && mediaType == xmlType {
			if got.StatusCode != http.StatusBadRequest {
				rt.Fatalf("the other format: got %d: %s", got.StatusCode, got.body)
			}
			return
		}
		if got.StatusCode != http.StatusOK && got.StatusCode != http.StatusConflict {
			rt.Fatalf("got %d: %s", got.StatusCode, got.body)
		}
		if !slices.ContainsFunc(e.exchange.envelopes(), func(env *exchangev1.Envelope) bool {
			return string(env.GetContent()) == string(body)
		}) {
			rt.Fatal("the body did not arrive as it was sent")
		}
	})
}

func TestPostSentAgainMakesNoSecondPacket(t *testing.T) {
	e := startEdge(t, nil)
	const path = "/Document/UpdateDocumentTraces"
	for range 3 {
		got := e.post(path, xmlType, progressXML)
		got.wantAccepted(t, xmlType)
		if sequence := got.Header.Get("X-LienThong-Sequence"); sequence != "1" {
			t.Errorf("sent again, the packet got sequence %s", sequence)
		}
	}
	for i, other := range [][]string{
		{"X-LienThong-To", "G22/portal"},
		{"X-LienThong-To", "G22/portal, G12/motcua"},
		{"X-LienThong-On-Behalf-Of", "H41.01"},
	} {
		got := e.post(path, xmlType, progressXML, other...)
		got.wantAccepted(t, xmlType)
		if want := string(rune('2' + i)); got.Header.Get("X-LienThong-Sequence") != want {
			t.Errorf("%v: got sequence %s, want %s", other, got.Header.Get("X-LienThong-Sequence"), want)
		}
	}
	// The order of recipients means nothing.
	if got := e.post(path, xmlType, progressXML, "X-LienThong-To", "G12/motcua,,G22/portal ,G12/motcua"); got.Header.Get("X-LienThong-Sequence") != "3" {
		t.Errorf("other order of recipients: %s", got.body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	e := startEdge(t, nil)
	const path = "/Vote/UpdateVote"
	e.post(path, xmlType, surveyXML, "Idempotency-Key", `"8e03978e-40d5"`).wantAccepted(t, xmlType)
	e.post(path, xmlType, surveyXML, "Idempotency-Key", "8e03978e-40d5").wantAccepted(t, xmlType)
	if envelopes := e.exchange.envelopes(); len(envelopes) != 1 || envelopes[0].GetId() != "8e03978e-40d5" {
		t.Errorf("accepted %v", envelopes)
	}
	if got := e.post(path, jsonType, surveyJSON, "Idempotency-Key", "8e03978e-40d5"); got.StatusCode != http.StatusConflict {
		t.Errorf("other content under the same key: %d %s", got.StatusCode, got.body)
	}
	for _, bad := range [][]string{
		{"Idempotency-Key", ""},
		{"Idempotency-Key", "a b"},
		{"Idempotency-Key", strings.Repeat("k", 129)},
		{"Idempotency-Key", "khóa"},
		{"Idempotency-Key", "a", "Idempotency-Key", "b"},
	} {
		got := e.post(path, xmlType, surveyXML, bad...)
		if _, message := got.result(t); got.StatusCode != http.StatusBadRequest || !strings.Contains(message, "Idempotency-Key") {
			t.Errorf("%q: %d %s", bad, got.StatusCode, got.body)
		}
	}
}

func TestAddressing(t *testing.T) {
	e := startEdge(t, nil)
	const path = "/Vote/UpdateVote"
	e.post(path+"?on-behalf-of=H41.01&to=G22/portal", xmlType, surveyXML,
		"X-LienThong-To", "G22/portal").wantAccepted(t, xmlType)
	got := e.exchange.envelopes()[0]
	if got.GetOnBehalfOf() != "H41.01" || !slices.Equal(got.GetRecipients(), []string{"G22/portal"}) {
		t.Errorf("forwarded on behalf of %q to %q", got.GetOnBehalfOf(), got.GetRecipients())
	}
	for _, query := range []string{"?to=G12/motcua", "?to=%ff"} {
		if got := e.post(path+query, xmlType, surveyXML, "X-LienThong-To", "G22/portal"); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s against the header: %d %s", query, got.StatusCode, got.body)
		}
	}
	if got := e.post(path+"?on-behalf-of=%ff", xmlType, surveyXML); got.StatusCode != http.StatusBadRequest {
		t.Errorf("not UTF-8: %d %s", got.StatusCode, got.body)
	}
}

func TestRefusalListsEveryViolationByFieldInBothLanguages(t *testing.T) {
	e := startEdge(t, nil)
	body := progressXML
	for _, missing := range []string{"DocCode", "UserName", "OrganizationInchargeName"} {
		body = regexp.MustCompile(`\s*<`+missing+`>.*</`+missing+`>`).ReplaceAllString(body, "")
	}
	got := e.post("/Document/UpdateDocumentTraces", xmlType, body)
	status, message := got.result(t)
	if got.StatusCode != http.StatusBadRequest || status != 0 {
		t.Errorf("got %d, Status %d", got.StatusCode, status)
	}
	lines := strings.Split(message, "\n")
	if !strings.HasPrefix(lines[0], "gói tin bị từ chối / the packet was refused") {
		t.Errorf("first line is %q", lines[0])
	}
	for _, field := range []string{"MDocumentTraces.DocCode", "MDocumentTraces.UserName", "MDocumentTraces.OrganizationInchargeName"} {
		if !slices.ContainsFunc(lines[1:], func(line string) bool {
			return strings.HasPrefix(line, field) && strings.Contains(line, " / ")
		}) {
			t.Errorf("no line for %s in %q", field, message)
		}
	}
	if len(e.exchange.envelopes()) != 0 {
		t.Error("the packet was accepted")
	}
}

func TestRefusalsOfTheHubKeepTheirMeaning(t *testing.T) {
	for _, tc := range []struct {
		refusal    *fault.Error
		status     int
		retryAfter string
	}{
		{fault.New(codes.InvalidArgument, "packet_invalid", "wrong", "sai"), 400, ""},
		{fault.New(codes.Unauthenticated, "certificate_missing", "who", "ai"), 401, ""},
		{fault.New(codes.PermissionDenied, "right_missing", "no right", "không có quyền"), 403, ""},
		{fault.New(codes.NotFound, "packet_not_found", "no such", "không có"), 404, ""},
		{fault.New(codes.NotFound, "packet_expired", "gone", "hết hạn"), 410, ""},
		{fault.New(codes.AlreadyExists, "id_conflict", "taken", "đã dùng"), 409, ""},
		{fault.New(codes.ResourceExhausted, "packet_too_large", "too large", "quá lớn"), 413, ""},
		{fault.New(codes.ResourceExhausted, "quota", "slow down", "chậm lại"), 429, "5"},
		{fault.New(codes.ResourceExhausted, "quota", "slow down", "chậm lại").After(2_500_000_000), 429, "3"},
		{fault.New(codes.Unavailable, "store_unavailable", "full", "hết chỗ"), 503, "5"},
		{fault.New(codes.Unavailable, "shutting_down", "stopping", "đang dừng").After(1_000_000), 503, "1"},
		{fault.New(codes.DeadlineExceeded, "deadline_exceeded", "late", "trễ"), 504, ""},
	} {
		e := startEdge(t, nil)
		e.exchange.refuse(tc.refusal)
		for _, mediaType := range []string{xmlType, jsonType} {
			got := e.post("/Vote/UpdateVote", xmlType, surveyXML, "Accept", mediaType)
			status, message := got.result(t)
			if got.StatusCode != tc.status || status != 0 || got.mediaType() != mediaType || got.Header.Get("Retry-After") != tc.retryAfter {
				t.Errorf("%v: got %d, Status %d, %s, Retry-After %q", tc.refusal, got.StatusCode, status, got.mediaType(), got.Header.Get("Retry-After"))
			}
			if message != tc.refusal.VI+" / "+tc.refusal.EN {
				t.Errorf("%v: message is %q", tc.refusal, message)
			}
			if got.Header.Get("Location") != "" || (tc.status == 401) != (got.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%v: headers are %v", tc.refusal, got.Header)
			}
		}
		got := e.post("/v1/packets", jsonType, `{"id":"a"}`)
		p := got.problem(t)
		if got.StatusCode != tc.status || p.Status != tc.status || p.Reason != tc.refusal.Reason || p.Detail != tc.refusal.EN ||
			p.DetailVi != tc.refusal.VI || got.Header.Get("Retry-After") != tc.retryAfter {
			t.Errorf("%v under /v1: got %d %+v", tc.refusal, got.StatusCode, p)
		}
	}
}
