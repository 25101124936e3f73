package hub_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

// mould makes progress packets of one size that differ in their dossier, in the
// sender's number and in the end of their comment: packets that are all the same would
// take less room in a store that compresses than packets in life.
type mould struct {
	format                   exchangev1.Format
	content                  []byte
	dossier, number, comment int // where in content the digits and the comment's end stand
	commented                int // how long the comment's end is
	words                    []byte
}

// What stands in a mould where the digits of a packet go.
const (
	digits      = 9
	dossierMark = "000000001"
	numberMark  = "000000002"
	dossierCode = "000.00.00.H41-261102-"
	commentMark = "x"
)

// newMould returns a mould for packets of so many bytes. It is made from the sample of
// a progress packet, with a longer comment.
func newMould(b *testing.B, format exchangev1.Format, size int) *mould {
	b.Helper()
	codec, err := packet.NewCodec(packet.Options{Strict: true})
	if err != nil {
		b.Fatal(err)
	}
	m := &mould{format: format, words: words()}
	message := progressSample(b, codec)
	message.DocCode, message.DocumentId = dossierCode+dossierMark, numberMark
	comment := message.GetComment() + " "
	// The length of what says how long a comment is grows with the comment: more than
	// one round may be needed.
	for m.content == nil || len(m.content) != size {
		if m.content != nil {
			m.commented += size - len(m.content)
		}
		said := comment + strings.Repeat(commentMark, m.commented)
		message.Comment = &said
		if m.content, err = codec.Encode(message, format); err != nil {
			b.Fatal(err)
		}
	}
	m.dossier, m.number = bytes.Index(m.content, []byte(dossierMark)), bytes.Index(m.content, []byte(numberMark))
	m.comment = bytes.Index(m.content, bytes.Repeat([]byte(commentMark), m.commented))
	if _, err := codec.Decode(packetv1.PacketType_PACKET_TYPE_PROGRESS, format, m.cast(123456, 654321)); err != nil {
		b.Fatalf("a packet of the mould: %v", err)
	}
	return m
}

// words returns letters that do not repeat themselves, always the same.
func words() []byte {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	letters := make([]byte, 1<<16)
	for i := range letters {
		letters[i] = "abcdefghijklmnopqrstuvwxyz      "[random.IntN(32)]
	}
	return letters
}

func progressSample(b *testing.B, codec *packet.Codec) *packetv1.MDocumentTraces {
	b.Helper()
	for _, s := range samples.Good() {
		if s.Name != "progress.xml" {
			continue
		}
		read, err := codec.Decode(s.Type, s.Format, s.Content)
		if err != nil {
			b.Fatal(err)
		}
		if message, ok := read.Message.(*packetv1.MDocumentTraces); ok {
			return message
		}
	}
	b.Fatal("there is no sample progress.xml")
	return nil
}

// cast returns the packet with a number about a dossier.
func (m *mould) cast(dossier, number int) []byte {
	content := bytes.Clone(m.content)
	write(content[m.dossier:m.dossier+digits], dossier)
	write(content[m.number:m.number+digits], number)
	copy(content[m.comment:m.comment+m.commented], m.words[number*101%(len(m.words)-m.commented):])
	return content
}

// write fills a place with the digits of a number.
func write(place []byte, number int) {
	for i := len(place) - 1; i >= 0; i-- {
		place[i] = byte('0' + number%10)
		number /= 10
	}
}

// numberOf returns the number that a packet was cast with.
func (m *mould) numberOf(content []byte) (int, error) {
	if len(content) != len(m.content) {
		return 0, fmt.Errorf("a packet of %d bytes was delivered; all that were sent have %d", len(content), len(m.content))
	}
	number, err := strconv.Atoi(string(content[m.number : m.number+digits]))
	if err != nil {
		return 0, fmt.Errorf("a packet that was delivered has no number: %w", err)
	}
	return number, nil
}
