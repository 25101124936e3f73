package gateway_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// deliveries is MDeliveries as a legacy system would read it.
type deliveries struct {
	XMLName    xml.Name `json:"-"`
	LeaseUntil string
	Delivery   []struct {
		DeliveryID      string `xml:"DeliveryId" json:"DeliveryId"`
		Sender          string
		Organisation    string
		AcceptedAt      string
		Attempt         int
		MSyncDocument   *struct{ DocCode, CitizenName string }
		MDocumentTraces *struct{ DocCode string }
		MVotes          *struct {
			Questions []struct{ Content string }
		}
		MStatistic *struct{ Total int }
		Problem    string
	}
}

func (a answer) deliveries(t testing.TB) deliveries {
	t.Helper()
	var m deliveries
	var err error
	if a.mediaType() == jsonType {
		err = json.Unmarshal([]byte(a.body), &m)
	} else if err = xml.Unmarshal([]byte(a.body), &m); err == nil && m.XMLName.Local != "MDeliveries" {
		t.Fatalf("root is %q", m.XMLName.Local)
	}
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("no MDeliveries (%v): %d %s", err, a.StatusCode, a.body)
	}
	return m
}

func TestPullHandsOutEveryTypeInEitherFormat(t *testing.T) {
	e := startEdge(t, nil)
	for _, d := range doors() {
		e.post(d.path, xmlType, d.xml).wantAccepted(t, xmlType)
		e.post(d.path, jsonType, d.json).wantAccepted(t, jsonType)
	}
	for attempt, pulled := range []answer{
		e.get("/Delivery/Pull", "Accept", xmlType),
		e.get("/Delivery/Pull", "Accept", jsonType),
		e.post("/Delivery/Pull?max=100&wait=1", "", ""),
		e.post("/Delivery/Pull/", jsonType, "{}"),
		e.get("/Delivery/Pull%20"),
	} {
		m := pulled.deliveries(t)
		if want := []string{xmlType, jsonType, xmlType, jsonType, xmlType}[attempt]; pulled.mediaType() != want {
			t.Errorf("pull %d is in %s, want %s", attempt, pulled.mediaType(), want)
		}
		if len(m.Delivery) != 2*len(doors()) || !strings.HasSuffix(m.LeaseUntil, "+07:00") {
			t.Fatalf("pull %d: %d deliveries until %q: %s", attempt, len(m.Delivery), m.LeaseUntil, pulled.body)
		}
		for i, d := range m.Delivery {
			if d.DeliveryID != fmt.Sprint(i+1) || d.Sender != "H41/motcua" || d.Organisation != "H41" || d.Attempt != attempt+1 || d.Problem != "" {
				t.Errorf("pull %d: delivery %d is %+v", attempt, i, d)
			}
			if d.AcceptedAt != "2026-11-24T08:02:03.000+07:00" {
				t.Errorf("accepted at %q", d.AcceptedAt)
			}
			whole := []bool{
				d.MSyncDocument != nil && strings.HasPrefix(d.MSyncDocument.DocCode, "H41.01.02-240105-000") && d.MSyncDocument.CitizenName == "Nguyễn Văn Mẫu",
				d.MDocumentTraces != nil && d.MDocumentTraces.DocCode == "H41.01.02-240105-0007",
				d.MStatistic != nil && d.MStatistic.Total == 100,
				d.MVotes != nil && len(d.MVotes.Questions) == 1 && d.MVotes.Questions[0].Content == "Thái độ phục vụ",
			}
			if !whole[i/2] {
				t.Errorf("pull %d: delivery %d does not hold its packet: %+v", attempt, i, d)
			}
		}
	}
}

func TestPullOfNothing(t *testing.T) {
	e := startEdge(t, nil)
	for _, mediaType := range []string{xmlType, jsonType} {
		m := e.get("/Delivery/Pull?max=5&wait=7", "Accept", mediaType).deliveries(t)
		if len(m.Delivery) != 0 || m.LeaseUntil != "" {
			t.Errorf("got %+v", m)
		}
	}
	if got := e.exchange.pulls[0]; got.GetMax() != 5 || got.GetWaitSeconds() != 7 {
		t.Errorf("asked the hub for %v", got)
	}
}

func TestPullRefusesWhatItCannotMean(t *testing.T) {
	e := startEdge(t, nil)
	for _, tc := range []struct {
		query string
		names []string
	}{
		{"max=0", []string{"max"}},
		{"max=1025&wait=61", []string{"max", "wait"}},
		{"max=many", []string{"max"}},
		{"wait=-1", []string{"wait"}},
		{"max=1&max=2", []string{"max"}},
		{"max=", []string{"max"}},
		{"max=%zz", nil},
		{"wait=99999999999999999999", []string{"wait"}},
	} {
		got := e.get("/Delivery/Pull?" + tc.query)
		_, message := got.result(t)
		for _, name := range tc.names {
			if !strings.Contains(message, "\n"+name+": ") {
				t.Errorf("%s: %q says nothing about %s", tc.query, message, name)
			}
		}
		if got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d", tc.query, got.StatusCode)
		}
	}
	if len(e.exchange.pulls) != 0 {
		t.Error("the hub was asked")
	}
}

// A packet this edge cannot read is not withheld, and does not withhold others.
func TestPullShowsWhatItCannotRead(t *testing.T) {
	e := startEdge(t, nil)
	e.exchange.put(&exchangev1.AcceptedPacket{
		Sequence: 1, Sender: "G12/motcua", OnBehalfOf: "G12", AcceptedAt: timestamppb.New(time.Unix(0, 0)),
		Envelope: &exchangev1.Envelope{Id: "a", Type: packetv1.PacketType_PACKET_TYPE_SURVEY, Format: formatXML, Content: []byte("<MVotes><")},
	})
	e.post("/Vote/UpdateVote", xmlType, surveyXML).wantAccepted(t, xmlType)
	for _, mediaType := range []string{xmlType, jsonType} {
		m := e.get("/Delivery/Pull", "Accept", mediaType).deliveries(t)
		if len(m.Delivery) != 2 || !strings.HasSuffix(m.Delivery[0].Problem, " /v1/packets/1/content") || m.Delivery[0].MVotes != nil || m.Delivery[1].MVotes == nil {
			t.Errorf("got %+v", m)
		}
	}
	if got := e.get("/v1/packets/1/content"); got.body != "<MVotes><" {
		t.Errorf("its content is %d %q", got.StatusCode, got.body)
	}
}

func TestAcknowledge(t *testing.T) {
	e := startEdge(t, nil)
	for i := range 4 {
		e.post("/Vote/UpdateVote", xmlType, surveyXML, "Idempotency-Key", fmt.Sprint(i)).wantAccepted(t, xmlType)
	}
	for _, tc := range []struct {
		mediaType, body, accept string
		want                    string
	}{
		{xmlType, "<MAcknowledge><DeliveryId>1</DeliveryId><DeliveryId> 2 </DeliveryId><DeliveryId>1</DeliveryId></MAcknowledge>", xmlType,
			"Đã xác nhận 2 lượt gửi. / Acknowledged 2 deliveries."},
		{jsonType, `{"DeliveryId":["3","2","99"]}`, jsonType,
			"Đã xác nhận 1 lượt gửi. Không còn chờ nhận: 2, 99. / Acknowledged 1 delivery. Were not waiting: 2, 99."},
		{"", "\uFEFF<MAcknowledge><DeliveryId>3</DeliveryId></MAcknowledge>", jsonType,
			"Đã xác nhận 0 lượt gửi. Không còn chờ nhận: 3. / Acknowledged 0 deliveries. Were not waiting: 3."},
	} {
		got := e.post("/Delivery/Acknowledge", tc.mediaType, tc.body, "Accept", tc.accept)
		status, message := got.result(t)
		if got.StatusCode != http.StatusOK || status != 1 || message != tc.want || got.mediaType() != tc.accept {
			t.Errorf("%s: got %d, Status %d, %q", tc.body, got.StatusCode, status, message)
		}
	}
	if m := e.get("/Delivery/Pull").deliveries(t); len(m.Delivery) != 1 || m.Delivery[0].DeliveryID != "4" {
		t.Errorf("still waiting: %+v", m)
	}
}

func TestAcknowledgeRefusesWhatIsNoDelivery(t *testing.T) {
	e := startEdge(t, nil)
	e.post("/Vote/UpdateVote", xmlType, surveyXML).wantAccepted(t, xmlType)
	for body, want := range map[string][]string{
		"<MAcknowledge/>": {"MAcknowledge.DeliveryId"},
		"<MAcknowledge><DeliveryId>1</DeliveryId><DeliveryId>x</DeliveryId><DeliveryId>0</DeliveryId><DeliveryId>-1</DeliveryId></MAcknowledge>": {
			"MAcknowledge.DeliveryId[1]", "MAcknowledge.DeliveryId[2]", "MAcknowledge.DeliveryId[3]"},
		"<MAcknowledge>" + strings.Repeat("<DeliveryId>1</DeliveryId>", 1025) + "</MAcknowledge>": {"MAcknowledge.DeliveryId"},
		"<MAcknowledge><DeliveryId>1</DeliveryId>":                                                {""},
		"<MVotes/>": {""},
		`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><MAcknowledge><DeliveryId>&x;</DeliveryId></MAcknowledge>`: {""},
	} {
		got := e.post("/Delivery/Acknowledge", xmlType, body)
		status, message := got.result(t)
		if got.StatusCode != http.StatusBadRequest || status != 0 {
			t.Errorf("%.60s: got %d %s", body, got.StatusCode, got.body)
		}
		for _, field := range want {
			if !strings.Contains(message, "\n"+field) {
				t.Errorf("%.60s: %q says nothing about %q", body, message, field)
			}
		}
	}
	if m := e.get("/Delivery/Pull").deliveries(t); len(m.Delivery) != 1 {
		t.Error("a refused MAcknowledge has acknowledged")
	}
}

func TestReject(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil)
	for i := range 3 {
		e.post("/Vote/UpdateVote", xmlType, surveyXML, "Idempotency-Key", fmt.Sprint(i)).wantAccepted(t, xmlType)
	}
	e.get("/Delivery/Pull")
	for _, tc := range []struct{ mediaType, body, want string }{
		{xmlType, "<MReject><DeliveryId>1</DeliveryId><DeliveryId>9</DeliveryId><Reason>bận</Reason></MReject>",
			"Sẽ gửi lại sau: 1. Không nằm trong tay hệ thống này: 9. / To be delivered again later: 1. Were not out with this node: 9."},
		{jsonType, `{"DeliveryId":["2"],"Reason":"bận","Final":true}`,
			"Sẽ gửi lại sau: 0. Không giao được: 1. / To be delivered again later: 0. Dead letters: 1."},
	} {
		got := e.post("/Delivery/Reject", tc.mediaType, tc.body)
		if status, message := got.result(t); got.StatusCode != http.StatusOK || status != 1 || message != tc.want {
			t.Errorf("%s: got %d, Status %d, %q; want %q", tc.body, got.StatusCode, status, message, tc.want)
		}
	}
	for body, field := range map[string]string{
		"<MReject><DeliveryId>3</DeliveryId></MReject>":                     "MReject.Reason",
		"<MReject><DeliveryId>x</DeliveryId><Reason>bận</Reason></MReject>": "MReject.DeliveryId[0]",
		"<MReject><Reason>bận</Reason></MReject>":                           "MReject.DeliveryId",
	} {
		got := e.post("/Delivery/Reject", xmlType, body)
		if status, message := got.result(t); got.StatusCode != http.StatusBadRequest || status != 0 || !strings.Contains(message+got.body, field) {
			t.Errorf("%s: got %d, Status %d, %s; want a refusal that names %s", body, got.StatusCode, status, got.body, field)
		}
	}
}
