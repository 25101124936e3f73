package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/views"
	"github.com/lienthong/lienthong/hub/web"
	"github.com/lienthong/lienthong/packet"
)

// accepted is one packet in the log that the pages are made from.
type accepted struct {
	speaker string
	typ     packetv1.PacketType
	message proto.Message
}

// now is when the pages are looked at: 10 January 2024, noon in Viet Nam.
func now() time.Time { return time.Date(2024, 1, 10, 5, 0, 0, 0, time.UTC) }

// at returns an hour of a day of January 2024 in Viet Nam.
func at(d, hour int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2024, 1, d, hour-7, 0, 0, 0, time.UTC))
}

// pages serves the public pages over real views of a real log.
func pages(t *testing.T, log ...accepted) http.Handler {
	t.Helper()
	return serve(t, viewsOf(t, log...), io.Discard)
}

func serve(t testing.TB, v web.Views, log io.Writer) http.Handler {
	t.Helper()
	handler, err := web.New(v, web.Options{Now: now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatalf("public pages: %v", err)
	}
	return handler
}

// viewsOf returns views that have taken in a log.
func viewsOf(t testing.TB, log ...accepted) *views.Views {
	t.Helper()
	s, err := pebblestore.Open(t.TempDir(), pebblestore.Options{})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		t.Fatalf("codec: %v", err)
	}
	v, err := views.New(views.Config{Store: s, Codec: codec})
	if err != nil {
		t.Fatalf("views: %v", err)
	}
	for i, a := range log {
		accept(t, s, codec, i+1, a)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("views ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	wait, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if err := v.WaitFor(wait, uint64(len(log))); err != nil {
		t.Fatalf("views did not catch up: %v", err)
	}
	return v
}

func accept(t testing.TB, s *pebblestore.Store, codec *packet.Codec, sequence int, a accepted) {
	t.Helper()
	content, err := codec.Encode(a.message, exchangev1.Format_FORMAT_XML)
	if err != nil {
		t.Fatalf("encode packet %d: %v", sequence, err)
	}
	record, err := proto.Marshal(&exchangev1.AcceptedPacket{
		Sequence: uint64(sequence), Sender: a.speaker + "/motcua", OnBehalfOf: a.speaker,
		Envelope: &exchangev1.Envelope{Type: a.typ, Format: exchangev1.Format_FORMAT_XML, Content: content},
	})
	if err != nil {
		t.Fatalf("write record %d: %v", sequence, err)
	}
	group := []store.Submission{{Sender: "test", ID: strconv.Itoa(sequence)}}
	if _, err := s.Accept(t.Context(), group, func([]store.Fresh) (store.Sealed, error) {
		return store.Sealed{Records: [][]byte{record}, Leaves: [][]byte{{1}}, Note: []byte("note")}, nil
	}); err != nil {
		t.Fatalf("accept packet %d: %v", sequence, err)
	}
}

const code = "H41.04-240105-0007"

// ordinary is a log with everything that pages show.
func ordinary() []accepted {
	return []accepted{
		dossier(code, 2),
		progress(code, 6, 4, "Chuyên viên"),
		dossier("H41.04-240105-0008", 77),
		statistic(12, 2023, 90),
		statistic(1, 2024, 95),
		survey(9),
	}
}

func dossier(code string, status int32, change ...func(*packetv1.MSyncDocument)) accepted {
	m := &packetv1.MSyncDocument{
		DocTypeCode: "1.011442.000.00.00.H41", DocTypeName: "Đăng ký biện pháp bảo đảm", DocCode: code,
		CitizenName: "Nguyễn Thị Ánh Tuyết", ApplicantsId: "040190012345", ApplicantsType: 1, Phone: "0912345678",
		DateReceived: at(5, 8), DateAppointed: at(12, 17), Status: status, ProcessingOrganName: "Văn phòng Đăng ký đất đai",
		Attachments:           []*packetv1.Attachment{{AttachmentId: 1, AttachmentName: "don.pdf", Base64: "JVBERg=="}},
		OrganInchargeIdLevel1: "H41", OrganInchargeName: "UBND tỉnh Nghệ An",
	}
	for _, alter := range change {
		alter(m)
	}
	return accepted{"H41", packetv1.PacketType_PACKET_TYPE_DOSSIER, m}
}

func progress(code string, d int, status int32, position string) accepted {
	return accepted{"H41", packetv1.PacketType_PACKET_TYPE_PROGRESS, &packetv1.MDocumentTraces{
		DocumentId: "7001", DocCode: code, UserName: "Trần Văn Bình", UserPosition: position, DateCreated: at(d, 9),
		Status: proto.Int32(status), OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "UBND tỉnh Nghệ An",
	}}
}

func statistic(month, year, inTime int32) accepted {
	return accepted{"H41", packetv1.PacketType_PACKET_TYPE_STATISTIC, &packetv1.MStatistic{
		Month: month, Year: year, IsMonthStatistic: true, NewReception: 12000, PreExtisting: 345, Total: 12345,
		TotalSolved: 100, SolvedInTime: inTime, SolvedInTimePercent: strconv.Itoa(int(inTime)) + ".0",
		SolvedLate: 100 - inTime, SolvedLatePercent: strconv.Itoa(100-int(inTime)) + ".0",
		TotalPending: 12245, Pending: 12245, PendingPercent: "100", PendingLatePercent: "0",
		OrganizationInchargeIdlevel1: "H41", OrganizationInchargeName: "UBND tỉnh Nghệ An",
	}}
}

func survey(d int, question ...string) accepted {
	m := &packetv1.MVotes{
		DateCreated: at(d, 17), TotalVoted: 240, PercentVeryGood: "62.5", PercentGood: "30.0", PercentBad: "7.5",
		OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "UBND tỉnh Nghệ An",
	}
	for _, content := range append(question, "Thái độ phục vụ?") {
		m.Questions = append(m.Questions, &packetv1.Question{Content: content, PercentVeryGood: "70", PercentGood: "25", PercentBad: "5"})
	}
	return accepted{"H41", packetv1.PacketType_PACKET_TYPE_SURVEY, m}
}

func get(h http.Handler, address string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, address)
}

func ask(h http.Handler, method, address string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, address, nil))
	return w
}

// text returns what a page says, its white space made single.
func text(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var all []string
	for n := range parse(t, w.Body.Bytes()).Descendants() {
		if n.Type == html.TextNode {
			all = append(all, n.Data)
		}
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

func parse(t testing.TB, page []byte) *html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("page is not HTML: %v", err)
	}
	return root
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
