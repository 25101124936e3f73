package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/packet"
)

// submission is an envelope that may be accepted, on its way to the committer.
type submission struct {
	sender        string
	envelope      *exchangev1.Envelope
	speaksFor     packet.Organisation
	packet        *packet.Packet
	contentDigest [sha256.Size]byte
	// content is what is read; of a large packet, it is there only while it is.
	content []byte
	hold    *blobs.Hold // of a large packet
	room    *room       // where it is counted as on its way; nil: nowhere
	// record and leaf are an AcceptedPacket and the Statement of the receipt, but for
	// what the commit gives: hub, sequence and time.
	record, leaf []byte
	stored       store.Submission
}

// answer says what became of a submission.
type answer struct {
	// accepted makes the receipt, as that of the leaf at index.
	accepted *ledger.Prover
	index    int
	// earlier is the sequence under which the same was accepted before. Its receipt
	// is read by who waits for it, not by the committer, who would keep all waiting.
	earlier uint64
	// conflict is the sequence under which something else than said was accepted under
	// the id.
	conflict uint64
	said     *said
	err      error
	// unknown means, beside err, that it may have been accepted all the same.
	unknown bool
}

// prepare checks everything about an envelope that can be checked without
// writing. It returns a *fault.Error for whatever the sender did wrong, and no
// submission but a sequence for what would be refused now but was accepted
// before, under that sequence; where that is on its way to its commit, it waits for
// it. A panic over one envelope is that envelope's error:
// no interceptor guards the goroutine that reads a stream.
func (s *Service) prepare(ctx context.Context, caller string, env *exchangev1.Envelope) (sub *submission, earlier uint64, err error) {
	defer func() {
		if p := recover(); p != nil {
			sub.release(blobs.Kept)
			sub, earlier, err = nil, 0, fmt.Errorf("panic over an envelope: %v\n%s", p, debug.Stack())
		}
	}()
	if err := s.checkEnvelope(env); err != nil {
		return nil, 0, err
	}
	sub = newSubmission(caller, env)
	var refused error
	if sub.envelope.GetUpload() == nil {
		refused = s.admit(sub)
	} else {
		refused = s.admitLarge(ctx, sub)
	}
	if refused == nil {
		refused = s.checkInboxes(ctx, sub)
	}
	if refused == nil {
		return sub, 0, nil
	}
	sub.release(blobs.Kept)
	if err := s.underway.wait(ctx, caller, env.GetId()); err != nil {
		return nil, 0, err
	}
	sequence, digest, err := s.store.Find(ctx, caller, env.GetId())
	switch {
	case err == nil && digest == sub.stored.Digest:
		return nil, sequence, nil
	case err == nil || errors.Is(err, store.ErrNotFound):
		s.discardUpload(sub, refused)
		return nil, 0, refused
	}
	return nil, 0, storeUnavailable(fmt.Errorf("look for an earlier submission: %w", err))
}

func newSubmission(caller string, env *exchangev1.Envelope) *submission {
	sub := &submission{sender: caller, envelope: env, content: env.GetContent()}
	if upload := env.GetUpload(); upload != nil {
		copy(sub.contentDigest[:], upload.GetSha256())
	} else {
		sub.contentDigest = sha256.Sum256(sub.content)
	}
	sub.stored = store.Submission{Sender: caller, ID: env.GetId(), Digest: digestOf(env, sub.contentDigest)}
	sub.stored.ContentBytes = int64(env.GetUpload().GetSize()) //nolint:gosec // compared with the limit where it comes in
	return sub
}

func (s *Service) checkEnvelope(env *exchangev1.Envelope) error {
	if size := len(env.GetContent()); size > s.limits.ContentBytes {
		return fault.New(codes.ResourceExhausted, "packet_too_large",
			fmt.Sprintf("content is %d bytes; at most %d are allowed", size, s.limits.ContentBytes),
			fmt.Sprintf("nội dung gói tin có %d byte; cho phép tối đa %d byte", size, s.limits.ContentBytes))
	}
	if count, most := len(env.GetRecipients()), s.maxRecipients; count > most { // before each of them is looked at
		return fault.New(codes.InvalidArgument, "request_invalid",
			fmt.Sprintf("envelope.recipients: %d recipients; at most %d are allowed", count, most),
			fmt.Sprintf("envelope.recipients: có %d nơi nhận; cho phép tối đa %d", count, most))
	}
	if wellFormed(env) {
		return nil
	}
	err := s.validator.Validate(env)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return fault.Invalid("envelope", invalid)
	}
	return fmt.Errorf("validate envelope: %w", err)
}

// fewRecipients are compared with each other one by one.
const fewRecipients = 8

// wellFormed reports whether an envelope plainly keeps the rules of its .proto file,
// as nearly all do. Whatever it is not sure of, the validator judges.
func wellFormed(env *exchangev1.Envelope) bool {
	_, typed := packetv1.PacketType_name[int32(env.GetType())]
	_, formatted := exchangev1.Format_name[int32(env.GetFormat())]
	if !typed || env.GetType() == 0 || !formatted || env.GetFormat() == 0 || len(env.GetContent()) == 0 || env.GetUpload() != nil ||
		len(env.GetOnBehalfOf()) > 32 || len(env.GetId()) == 0 || len(env.GetId()) > 128 || len(env.GetRecipients()) > fewRecipients {
		return false
	}
	for _, c := range []byte(env.GetId()) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	for i, recipient := range env.GetRecipients() {
		if len(recipient) == 0 || len(recipient) > 100 || slices.Contains(env.GetRecipients()[:i], recipient) {
			return false
		}
	}
	return true
}

// maxRecipients returns how many recipients the rules of an envelope allow: that is
// looked at before the rules of each, of which there may be hundreds of thousands.
func maxRecipients() int {
	field := (&exchangev1.Envelope{}).ProtoReflect().Descriptor().Fields().ByName("recipients")
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return int(rules.GetRepeated().GetMaxItems()) //nolint:gosec // by the .proto file
}

// maxWarningBytes bounds what a receipt, which outlives the packet, says of liberties
// that were taken.
const maxWarningBytes = 8 << 10

// admit reads the packet, checks that the sender may speak for its organisation,
// and finds who it goes to.
func (s *Service) admit(sub *submission) error {
	env := sub.envelope
	decoded, err := s.read(sub)
	if err != nil {
		return err
	}
	sub.speaksFor, err = s.speaksFor(sub.sender, env.GetOnBehalfOf())
	if err != nil {
		return err
	}
	if err := checkInCharge(sub.speaksFor, decoded.Organisation()); err != nil {
		return err
	}
	sub.stored.Recipients, err = s.route(sub)
	if err != nil {
		return err
	}
	sub.packet = decoded
	subject, speaksFor := decoded.Subject(), sub.speaksFor.String()
	sub.stored.Order = orderOf(sub.sender, subject)
	sub.stored.Kind = uint32(env.GetType()) //nolint:gosec // enum
	sub.leaf, err = written(&exchangev1.Statement{
		Sender: sub.sender, EnvelopeId: env.GetId(), Type: env.GetType(), OnBehalfOf: speaksFor, Subject: subject,
		ContentSha256: sub.contentDigest[:], Recipients: sub.stored.Recipients, Warnings: packet.Shortened(decoded.Warnings, maxWarningBytes),
	})
	if err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	sub.record, err = written(&exchangev1.AcceptedPacket{
		Sender: sub.sender, OnBehalfOf: speaksFor, Subject: subject, Envelope: env, ContentSha256: sub.contentDigest[:],
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// roomForCommit is what the commit writes after what was written here: hub (64 and
// 2 bytes at most), sequence (11), time (2 and 17).
const roomForCommit = 96

// written writes a message, with room for what the commit writes after it. What
// cannot be written, such as a text that is not UTF-8, fails here and not in the
// commit, where others would fail with it.
func written(message proto.Message) ([]byte, error) {
	room := make([]byte, 0, proto.Size(message)+roomForCommit)
	return proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(room, message) //nolint:wrapcheck // callers say what it is
}

// read reads a packet as its sender's packets are to be read: liberally, or strictly,
// where every liberty that would have to be taken is a violation.
func (s *Service) read(sub *submission) (*packet.Packet, error) {
	reader, strictEN, strictVI := s.readerFor(sub)
	env := sub.envelope
	decoded, err := reader.Decode(env.GetType(), env.GetFormat(), sub.content)
	var invalid *packet.InvalidError
	switch {
	case errors.As(err, &invalid):
		count := invalid.Violations()
		return nil, fault.New(codes.InvalidArgument, "packet_invalid",
			fmt.Sprintf("the packet is not valid; violations: %d", count)+strictEN,
			fmt.Sprintf("gói tin không hợp lệ; số lỗi: %d", count)+strictVI).With(detached(invalid.Findings))
	case err != nil:
		return nil, fmt.Errorf("decode packet: %w", err)
	}
	return decoded, nil
}

// readerFor returns what reads a packet, and what a refusal adds where that is strict:
// who asked for it, so that the sender knows whom to talk to.
func (s *Service) readerFor(sub *submission) (reader Reader, en, vi string) {
	liberal, strict := Reader(s.codec), s.strict
	if sub.hold != nil {
		liberal, strict = s.large.Liberal, s.large.Strict
	}
	switch {
	case s.strictHub:
		return strict, "; this hub reads packets strictly", "; trục này đọc gói tin chặt chẽ"
	case s.readStrictly(sub.sender):
		return strict, "; packets of this node are read strictly", "; gói tin của hệ thống này được đọc chặt chẽ"
	}
	return liberal, "", ""
}

// checkInCharge refuses a packet whose organisation in charge is not the
// speaker, below the speaker, or the level-1 organisation above the speaker: the
// field names level 1, so H41.04 rightly writes H41 there.
func checkInCharge(speaker, inCharge packet.Organisation) error {
	if speaker.Contains(inCharge) || speaker.Level1() == inCharge {
		return nil
	}
	return fault.New(codes.PermissionDenied, "organisation_not_yours",
		fmt.Sprintf("a node that speaks for %s may not send packets of %s; allowed are %s and organisations below it", speaker, inCharge, speaker),
		fmt.Sprintf("hệ thống của %s không được gửi gói tin của %s; chỉ được gửi thay %s và các đơn vị trực thuộc", speaker, inCharge, speaker))
}

// route returns the nodes an envelope goes to: all that hold a right, or those
// of them that the sender named.
func (s *Service) route(sub *submission) ([]string, error) {
	holders := s.rights.Receivers(sub.speaksFor, sub.envelope.GetType(), s.clock())
	if named := sub.envelope.GetRecipients(); len(named) > 0 {
		return narrowed(sub, named, holders)
	}
	recipients := holders
	if at, own := slices.BinarySearch(holders, sub.sender); own {
		recipients = slices.Concat(holders[:at], holders[at+1:])
	}
	if len(recipients) == 0 {
		return nil, noRight(sub, "")
	}
	return recipients, nil
}

// narrowed returns the nodes that the sender named, in canonical spelling, where
// all of them hold a right.
func narrowed(sub *submission, named, holders []string) ([]string, error) {
	recipients := make([]string, 0, len(named))
	for _, node := range named {
		canonical := canonicalNode(node)
		if _, holds := slices.BinarySearch(holders, canonical); !holds {
			return nil, noRight(sub, node)
		}
		if !slices.Contains(recipients, canonical) {
			recipients = append(recipients, canonical)
		}
	}
	return recipients, nil
}

// canonicalNode returns a node id whose organisation may come in either spelling
// in its canonical one; what is no node id stays as it is.
func canonicalNode(id string) string {
	code, name, _ := strings.Cut(id, "/")
	organisation, err := packet.ParseOrganisation(code)
	if err != nil {
		return id
	}
	return organisation.String() + "/" + name
}

func noRight(sub *submission, receiver string) error {
	typ, typVI := typeNames(sub.envelope.GetType())
	en, vi := "no node holds", "chưa có hệ thống nào được cấp"
	if receiver != "" {
		en, vi = fmt.Sprintf("node %.100q does not hold", receiver), fmt.Sprintf("hệ thống %.100q chưa được cấp", receiver)
	}
	return fault.New(codes.PermissionDenied, "right_missing",
		fmt.Sprintf("%s a right to %s packets from %s; an administrator can grant one", en, typ, sub.speaksFor),
		fmt.Sprintf("%s quyền nhận gói tin %s từ %s; quản trị viên có thể cấp quyền", vi, typVI, sub.speaksFor))
}

// typeNames returns what a type of packet is called in a sentence.
func typeNames(typ packetv1.PacketType) (en, vi string) {
	switch typ {
	case packetv1.PacketType_PACKET_TYPE_DOSSIER:
		return "dossier", "hồ sơ"
	case packetv1.PacketType_PACKET_TYPE_PROGRESS:
		return "progress", "tiến độ"
	case packetv1.PacketType_PACKET_TYPE_SURVEY:
		return "survey", "khảo sát"
	case packetv1.PacketType_PACKET_TYPE_STATISTIC:
		return "statistic", "thống kê"
	default:
		return typ.String(), typ.String()
	}
}

// digestOf tells submissions under one id apart: by content and by everything
// else the sender said.
func digestOf(env *exchangev1.Envelope, content [sha256.Size]byte) [sha256.Size]byte {
	said := append(make([]byte, 0, 256), content[:]...)
	said = binary.BigEndian.AppendUint32(said, uint32(env.GetType()))   //nolint:gosec // enum
	said = binary.BigEndian.AppendUint32(said, uint32(env.GetFormat())) //nolint:gosec // enum
	said = appendText(said, env.GetOnBehalfOf())
	recipients := env.GetRecipients()
	if !slices.IsSorted(recipients) {
		recipients = slices.Sorted(slices.Values(recipients))
	}
	for _, text := range recipients {
		said = appendText(said, text)
	}
	return sha256.Sum256(said)
}

func appendText(to []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(text))), text...) //nolint:gosec // bounded by the message
}

// orderOf maps a sender and subject to the number that packets with a common
// order share. Two subjects that collide only wait for each other needlessly;
// SHA-256 keeps a sender from choosing a subject that makes others wait.
func orderOf(sender, subject string) uint64 {
	both := append(make([]byte, 0, 256), sender...)
	both = append(append(both, 0), subject...) // a node id has no zero byte
	sum := sha256.Sum256(both)
	return binary.BigEndian.Uint64(sum[:])
}
