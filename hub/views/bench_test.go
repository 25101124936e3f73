package views_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/views"
	"github.com/lienthong/lienthong/packet"
)

// tester is what testing's T and rapid's have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// bench is a log in a real store, and views that follow it.
type bench struct {
	t      tester
	store  *pebblestore.Store
	codec  *packet.Codec
	views  *views.Views
	log    *bytes.Buffer // what the views logged; read after stop
	last   uint64
	cancel context.CancelFunc
	ended  chan error
}

func newCodec(t tester) *packet.Codec {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		t.Fatalf("codec: %v", err)
	}
	return codec
}

// newBench opens an empty log in memory; its views do not run yet.
func newBench(t tester, codec *packet.Codec) *bench {
	t.Helper()
	s, err := pebblestore.Open("log", pebblestore.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	b := &bench{t: t, store: s, codec: codec, log: &bytes.Buffer{}}
	b.views = b.newViews()
	return b
}

// follow returns a bench whose views run until the test ends.
func follow(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, newCodec(t))
	b.start()
	t.Cleanup(b.close)
	return b
}

func (b *bench) newViews() *views.Views {
	b.t.Helper()
	v, err := views.New(views.Config{
		Store: b.store, Codec: b.codec, OrganisationName: directory,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	})
	if err != nil {
		b.t.Fatalf("new views: %v", err)
	}
	return v
}

func directory(o packet.Organisation) string {
	return map[string]string{"H41": "UBND tỉnh Nghệ An", "G22": "Bộ Y tế"}[o.String()]
}

func (b *bench) start() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	b.cancel, b.ended = cancel, make(chan error, 1)
	go func(v *views.Views) { b.ended <- v.Run(ctx) }(b.views)
}

// stop ends the views and waits for them.
func (b *bench) stop() {
	b.t.Helper()
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.cancel = nil
	if err := <-b.ended; err != nil {
		b.t.Errorf("run ended with %v, nil was expected", err)
	}
}

// restart ends the views and starts new ones over the same store.
func (b *bench) restart() {
	b.t.Helper()
	b.stop()
	b.views = b.newViews()
	b.start()
}

func (b *bench) close() {
	b.t.Helper()
	b.stop()
	if err := b.store.Close(); err != nil {
		b.t.Errorf("close store: %v", err)
	}
}

// accept puts a packet into the log as official XML.
func (b *bench) accept(speaker string, m proto.Message) uint64 {
	b.t.Helper()
	content, err := b.codec.Encode(m, exchangev1.Format_FORMAT_XML)
	if err != nil {
		b.t.Fatalf("encode %T: %v", m, err)
	}
	return b.acceptContent(speaker, typeOf(m), exchangev1.Format_FORMAT_XML, content)
}

// offer hands a packet over that was accepted.
func (b *bench) offer(sequence uint64, speaker string, m proto.Message) {
	b.t.Helper()
	content, err := b.codec.Encode(m, exchangev1.Format_FORMAT_XML)
	if err != nil {
		b.t.Fatalf("encode %T: %v", m, err)
	}
	read, err := b.codec.Decode(typeOf(m), exchangev1.Format_FORMAT_XML, content)
	if err != nil {
		b.t.Fatalf("decode %T: %v", m, err)
	}
	organisation, err := packet.ParseOrganisation(speaker)
	if err != nil {
		b.t.Fatalf("speaker: %v", err)
	}
	b.views.Offer([]views.Accepted{{Sequence: sequence, Speaker: organisation, Packet: read}})
}

func (b *bench) acceptContent(speaker string, typ packetv1.PacketType, format exchangev1.Format, content []byte) uint64 {
	b.t.Helper()
	return b.acceptRecord(func(sequence uint64) []byte {
		digest := sha256.Sum256(content)
		record, err := proto.Marshal(&exchangev1.AcceptedPacket{
			Sequence: sequence, Sender: speaker + "/motcua", OnBehalfOf: speaker,
			AcceptedAt: timestamppb.New(day(30, 0)), ContentSha256: digest[:],
			Envelope: &exchangev1.Envelope{Id: strconv.FormatUint(sequence, 10), Type: typ, Format: format, Content: content},
		})
		if err != nil {
			b.t.Fatalf("write record: %v", err)
		}
		return record
	})
}

func (b *bench) acceptRecord(record func(sequence uint64) []byte) uint64 {
	b.t.Helper()
	id := strconv.FormatUint(b.last+1, 10)
	outcomes, err := b.store.Accept(b.t.Context(), []store.Submission{{Sender: "test", ID: id}}, func(fresh []store.Fresh) (store.Sealed, error) {
		return store.Sealed{Records: [][]byte{record(fresh[0].Sequence)}, Leaves: [][]byte{{1}}, Note: []byte("note")}, nil
	})
	if err != nil {
		b.t.Fatalf("accept: %v", err)
	}
	b.last = outcomes[0].Sequence
	b.views.Wake()
	return b.last
}

// settle waits until the views include everything accepted.
func (b *bench) settle() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	if err := b.views.WaitFor(ctx, b.last); err != nil {
		b.t.Fatalf("views did not catch up: %v", err)
	}
}

func (b *bench) dossier(code string) *viewv1.Dossier {
	b.t.Helper()
	b.settle()
	answer, err := b.views.GetDossier(b.t.Context(), &viewv1.GetDossierRequest{Code: code})
	if err != nil {
		b.t.Fatalf("dossier %s: %v", code, err)
	}
	return answer.GetDossier()
}

func (b *bench) wantStatus(code string, want int32) {
	b.t.Helper()
	if got := b.dossier(code).GetStatus(); got != want {
		b.t.Errorf("status of %s is %d, %d was expected", code, got, want)
	}
}

func typeOf(m proto.Message) packetv1.PacketType {
	switch m.(type) {
	case *packetv1.MSyncDocument:
		return packetv1.PacketType_PACKET_TYPE_DOSSIER
	case *packetv1.MDocumentTraces:
		return packetv1.PacketType_PACKET_TYPE_PROGRESS
	case *packetv1.MStatistic:
		return packetv1.PacketType_PACKET_TYPE_STATISTIC
	case *packetv1.MVotes:
		return packetv1.PacketType_PACKET_TYPE_SURVEY
	default:
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED
	}
}

// day returns an hour of a day of January 2024 in Viet Nam.
func day(d, hour int) time.Time {
	return time.Date(2024, 1, d, hour, 0, 0, 0, time.FixedZone("+07", 7*60*60))
}

func at(d, hour int) *timestamppb.Timestamp { return timestamppb.New(day(d, hour)) }

const code = "H41.04-240105-0007"

// synced returns a dossier that was received on the 5th.
func synced(status int32, change ...func(*packetv1.MSyncDocument)) *packetv1.MSyncDocument {
	m := &packetv1.MSyncDocument{
		DocTypeCode: "1.011442.000.00.00.H41", DocTypeName: "Đăng ký biện pháp bảo đảm", DocCode: code,
		CitizenName: "Nguyễn Thị Ánh Tuyết", ApplicantsId: "040190012345", ApplicantsType: 1,
		Address: proto.String("Số 3 đường Trường Thi"), Email: proto.String("tuyet@example.vn"), Phone: "0912345678",
		Compendium:   proto.String("Thế chấp thửa 12"),
		DateReceived: at(5, 8), DateAppointed: at(12, 17), Status: status,
		ProcessingOrganName:   "Văn phòng Đăng ký đất đai",
		Attachments:           []*packetv1.Attachment{{AttachmentId: 1, AttachmentName: "don.pdf", Base64: "JVBERg=="}},
		OrganInchargeIdLevel1: "H41", OrganInchargeName: "UBND tỉnh Nghệ An",
	}
	for _, alter := range change {
		alter(m)
	}
	return m
}

// progressed returns a step of the same dossier.
func progressed(d, hour int, status int32, change ...func(*packetv1.MDocumentTraces)) *packetv1.MDocumentTraces {
	m := &packetv1.MDocumentTraces{
		DocumentId: "7001", DocCode: code, UserName: "Trần Văn Bình", UserPosition: "Chuyên viên",
		DateCreated: at(d, hour), Comment: proto.String("Trình lãnh đạo"), Status: proto.Int32(status),
		OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "UBND tỉnh Nghệ An",
	}
	for _, alter := range change {
		alter(m)
	}
	return m
}

// counted returns consistent statistics of a month, or of a year for month 0.
func counted(year, month, inTime int32) *packetv1.MStatistic {
	return &packetv1.MStatistic{
		Month: month, Year: year, IsMonthStatistic: month > 0, NewReception: 100, PreExtisting: 20, Total: 120,
		TotalSolved: 100, SolvedInTime: inTime, SolvedInTimePercent: strconv.Itoa(int(inTime)) + ".0",
		SolvedLate: 100 - inTime, SolvedLatePercent: strconv.Itoa(100-int(inTime)) + ".0",
		TotalPending: 20, Pending: 15, PendingPercent: "75", PendingLate: 5, PendingLatePercent: "25",
		OrganizationInchargeIdlevel1: "H41", OrganizationInchargeName: "Tên cơ quan tự ghi",
	}
}

// voted returns the results of a survey.
func voted(d int, votes int32) *packetv1.MVotes {
	return &packetv1.MVotes{
		DateCreated: at(d, 17), TotalVoted: votes, PercentVeryGood: "62.5", PercentGood: "30.0", PercentBad: "7.5",
		Questions: []*packetv1.Question{{
			Content: "Thái độ phục vụ?", PercentVeryGood: "70", PercentGood: "25", PercentBad: "5",
		}},
		OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "Tên cơ quan tự ghi",
	}
}
