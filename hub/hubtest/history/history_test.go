package history_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/hubtest/history"
)

// right is a history without a fault, and what the hub serves in the end, one
// happening a line:
//
//	send LANE ID SUBJECT CONTENT          accept ID SEQUENCE SUBJECT CONTENT
//	refuse ID CONTENT REASON              deliver NODE SEQUENCE ID SUBJECT CONTENT
//	ack NODE SEQUENCE                     confirm NODE SEQUENCE
//	handle NODE SEQUENCE                  cut NODE
//	pull NODE                             kill
//	serve SEQUENCE ID SUBJECT CONTENT [NOTE]
//
// The lane "-" is none. Sender is always S; recipients are P and Q.
const right = `
send L a x 1
send L b x 2
accept a 1 x 1
deliver P 1 a x 1
handle P 1
kill
cut P
send L b x 2
send L e x 5
accept b 2 x 2
send - c y 3
send - c y 3
accept c 3 y 3
accept c 3 y 3
send - d y bad
refuse d bad packet_invalid
send - a x other
refuse a other id_conflict
accept e 4 x 5
deliver P 1 a x 1
deliver P 2 b x 2
ack P 1
confirm P 1
deliver P 3 c y 3
cut P
deliver P 2 b x 2
deliver P 4 e x 5
deliver P 3 c y 3
handle P 2
ack P 2
ack P 3
ack P 4
confirm P 3
kill
confirm P 4
cut P
deliver P 3 c y 3
deliver P 4 e x 5
ack P 3
ack P 4
confirm P 3
deliver Q 1 a x 1
deliver Q 2 b x 2
deliver Q 3 c y 3
deliver Q 4 e x 5
ack Q 1
pull Q
ack Q 2
ack Q 3
ack Q 4
serve 1 a x 1
serve 2 b x 2
serve 3 c y 3
serve 4 e x 5
`

// served is a hub that serves what a history says.
type served struct {
	packets  map[uint64]*exchangev1.AcceptedPacket
	receipts map[uint64]*exchangev1.Receipt
	err      error
}

func (s served) Packet(_ context.Context, _ string, sequence uint64) (*exchangev1.AcceptedPacket, bool, error) {
	p, ok := s.packets[sequence]
	return p, ok, s.err
}

func (s served) Receipt(_ context.Context, _ string, sequence uint64) (*exchangev1.Receipt, bool, error) {
	r, ok := s.receipts[sequence]
	return r, ok, s.err
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func receipt(t *testing.T, sequence uint64, id, subject, content, group string) *exchangev1.Receipt {
	t.Helper()
	digest := sha256.Sum256([]byte(content))
	leaf, err := proto.MarshalOptions{Deterministic: true}.Marshal(&exchangev1.Statement{
		Sequence: sequence, Sender: "S", EnvelopeId: id, Subject: subject, ContentSha256: digest[:], Recipients: []string{"P", "Q"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &exchangev1.Receipt{Leaf: leaf, Group: []byte(group)}
}

func packet(sequence uint64, id, subject, content string) *exchangev1.AcceptedPacket {
	digest := sha256.Sum256([]byte(content))
	return &exchangev1.AcceptedPacket{
		Sequence: sequence, Sender: "S", Subject: subject, ContentSha256: digest[:],
		Envelope: &exchangev1.Envelope{Id: id, Content: []byte(content)},
	}
}

// told makes a history, and its hub, of a text.
func told(t *testing.T, text string) (*history.History, served) {
	t.Helper()
	h := &history.History{}
	hub := served{packets: map[uint64]*exchangev1.AcceptedPacket{}, receipts: map[uint64]*exchangev1.Receipt{}}
	for said := range strings.Lines(strings.TrimSpace(text)) {
		w := strings.Fields(said)
		switch w[0] {
		case "send":
			h.Submitted(strings.Trim(w[1], "-"), "S", w[3], &exchangev1.Envelope{Id: w[2], Content: []byte(w[4])})
		case "accept":
			h.Accepted("S", w[1], receipt(t, number(t, w[2]), w[1], w[3], w[4], "note"))
		case "refuse":
			h.Refused("S", &exchangev1.Envelope{Id: w[1], Content: []byte(w[2])}, w[3])
		case "deliver":
			h.Delivered(w[1], &exchangev1.Delivery{Packet: packet(number(t, w[2]), w[3], w[4], w[5])})
		case "handle":
			h.Handled(w[1], number(t, w[2]))
		case "ack":
			h.Acknowledged(w[1], number(t, w[2]))
		case "confirm":
			h.Confirmed(w[1], number(t, w[2]))
		case "cut":
			h.Cut(w[1])
		case "pull":
			h.Pulling(w[1])
		case "kill":
			h.Killed()
		case "serve":
			sequence := number(t, w[1])
			hub.packets[sequence] = packet(sequence, w[2], w[3], w[4])
			hub.receipts[sequence] = receipt(t, sequence, w[2], w[3], w[4], append(w, "note")[5])
		default:
			t.Fatalf("line %q", said)
		}
	}
	return h, hub
}

func judge(t *testing.T, text string) []history.Violation {
	t.Helper()
	h, hub := told(t, text)
	found, err := h.Check(t.Context(), hub)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestARightHistoryPasses(t *testing.T) {
	t.Parallel()
	if found := judge(t, right); len(found) > 0 {
		t.Errorf("violations of a right history: %v", found)
	}
}

// Each history differs from the right one in one place.
func TestEveryBrokenPromiseIsFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, from, to string
		rule           history.Rule
		says           string
	}{
		{"a packet with a receipt is gone", "serve 2 b x 2\n", "", history.Durable, "b of S, accepted as 2, is not served"},
		{"other content is served", "serve 2 b x 2\n", "serve 2 b x 3\n", history.Durable, "other content"},
		{"another packet is served", "serve 2 b x 2\n", "serve 2 c x 2\n", history.Durable, "is served as 2, which is c of S"},
		{"another receipt is served", "serve 2 b x 2\n", "serve 2 b x 2 forged\n", history.Durable, "another receipt"},

		{"an id has two sequences", "accept c 3 y 3\naccept c 3 y 3\n", "accept c 3 y 3\naccept c 4 y 3\n", history.Once, "two receipts"},
		{"two ids have one sequence", "accept e 4 x 5\n", "accept e 4 x 5\nsend - f x 5\naccept f 4 x 5\n", history.Once, "sequence 4 is of e of S and of f of S"},
		{"a sequence is left out", "serve 4 e x 5\n", "serve 4 e x 5\nsend - f z 6\naccept f 6 z 6\nserve 6 f z 6\ndeliver P 6 f z 6\ndeliver Q 6 f z 6\nack P 6\nack Q 6\n",
			history.Once, "there is no 5, yet a 6"},
		{"the hub serves what nobody sent", "serve 4 e x 5\n", "serve 4 e x 5\nserve 5 f x 6\n", history.Once, "serves 5"},
		{"other content than was sent is accepted", "send L e x 5\n", "send L e x 6\n", history.Once, "content that had not been sent"},
		{"content is accepted before it is sent", "send L a x 1\nsend L b x 2\naccept a 1 x 1\n", "accept a 1 x 1\nsend L a x 1\nsend L b x 2\n", history.Once, "had not been sent"},
		{"the accepted content conflicts", "refuse a other id_conflict\n", "refuse a 1 id_conflict\n", history.Once, "the same content refused as a conflict"},
		{"a conflict with nothing", "refuse d bad packet_invalid\n", "refuse d bad id_conflict\n", history.Once, "nobody has a receipt"},

		{"an envelope is not answered", "refuse d bad packet_invalid\n", "", history.Whole, "d of S was never answered"},
		{"what has no receipt is delivered", "deliver Q 4 e x 5\n", "deliver Q 4 e x 5\ndeliver Q 5 f x 6\n", history.Whole, "nobody has a receipt for it"},
		{"another packet is delivered", "deliver Q 3 c y 3\n", "deliver Q 3 b y 3\ndeliver Q 3 c y 3\n", history.Whole, "the receipt is for c of S"},
		{"other content is delivered", "deliver Q 3 c y 3\n", "deliver Q 3 c y 4\ndeliver Q 3 c y 3\n", history.Whole, "Q was delivered 3"},
		{"a stranger receives", "deliver Q 3 c y 3\n", "deliver Q 3 c y 3\ndeliver R 3 c y 3\n", history.Whole, "its receipt names [P Q]"},
		{"what was refused is there", "refuse d bad packet_invalid\n", "refuse e 5 packet_invalid\nrefuse d bad packet_invalid\n", history.Whole, "was refused, and is there as 4"},

		{"a later one comes first", "deliver Q 1 a x 1\ndeliver Q 2 b x 2\n", "deliver Q 2 b x 2\ndeliver Q 1 a x 1\n", history.InOrder, "Q was delivered 2 while 1"},
		{"after a cut a later one comes first", "cut P\ndeliver P 2 b x 2\n", "cut P\n", history.InOrder, "P was delivered 4 while 2"},
		{"a later one is pulled while an earlier one is leased", "deliver Q 2 b x 2\n", "deliver Q 2 b x 2\npull Q\n", history.InOrder, "Q was delivered 4 while 1"},
		{"the hub goes back and leaves one out", "deliver Q 4 e x 5\n", "deliver Q 4 e x 5\ndeliver Q 1 a x 1\ndeliver Q 4 e x 5\n", history.InOrder, "Q was delivered 4 while 2"},

		{"an accepted packet never arrives", "deliver Q 3 c y 3\n", "", history.Delivered, "3 was never delivered to Q"},
		{"a delivery is lost before its acknowledgement", "ack Q 3\n", "", history.Delivered, "did not come again"},
		{"what is done with comes again", "confirm P 1\n", "confirm P 1\ndeliver P 1 a x 1\n", history.Delivered, "P was delivered 1 again"},
		{"what is done with comes again after a cut", "deliver P 3 c y 3\ncut P\n", "deliver P 3 c y 3\ncut P\ndeliver P 1 a x 1\n", history.Delivered, "P was delivered 1 again"},
		{"a stop in order forgets acknowledgements", "kill\nconfirm P 4\n", "confirm P 4\n", history.Delivered, "P was delivered 3 again"},
		{"an acknowledgement nobody gave", "ack P 1\n", "", history.Delivered, "has not acknowledged it"},
		{"a handler is given one twice", "handle P 2\n", "handle P 1\n", history.Delivered, "P handled 1 twice"},

		{"a lane is overtaken", "send L a x 1\nsend L b x 2\n", "send L b x 2\nsend L a x 1\n", history.AsSent, "S sent b before a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(right, tc.from) != 1 {
				t.Fatalf("the right history has %d times %q", strings.Count(right, tc.from), tc.from)
			}
			found := judge(t, strings.Replace(right, tc.from, tc.to, 1))
			if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == tc.rule && strings.Contains(v.Text, tc.says) }) {
				t.Errorf("found %v; want %s: ...%s...", found, tc.rule, tc.says)
			}
		})
	}
}

// Competing lanes, and no lane, promise no order; a receipt that comes again is one.
func TestWhatIsAllowedPasses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, from, to string }{
		{"lanes compete for an id", "send L a x 1\nsend L b x 2\n", "send L b x 2\nsend L a x 1\nsend M b x 2\n"},
		{"no lane", "send L a x 1\nsend L b x 2\n", "send - b x 2\nsend - a x 1\n"},
		{"refused, then accepted", "accept e 4 x 5\n", "refuse e 5 right_missing\nsend L e x 5\naccept e 4 x 5\n"},
		{"an acknowledged one comes again out of its run", "deliver Q 4 e x 5\nack Q 1\npull Q\n", "ack Q 1\ndeliver Q 1 a x 1\ndeliver Q 2 b x 2\ndeliver Q 4 e x 5\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(right, tc.from) != 1 {
				t.Fatalf("the right history has %d times %q", strings.Count(right, tc.from), tc.from)
			}
			if found := judge(t, strings.Replace(right, tc.from, tc.to, 1)); len(found) > 0 {
				t.Errorf("violations: %v", found)
			}
		})
	}
}

func TestAHubThatCannotBeAskedIsNoJudgement(t *testing.T) {
	t.Parallel()
	h, hub := told(t, right)
	hub.err = errors.New("unreachable")
	if _, err := h.Check(t.Context(), hub); !errors.Is(err, hub.err) {
		t.Errorf("check: %v; want the hub's error", err)
	}
	if h.Receipts() != 5 || h.Deliveries() != 13 {
		t.Errorf("%d receipts and %d deliveries were written down; want 5 and 13", h.Receipts(), h.Deliveries())
	}
}
