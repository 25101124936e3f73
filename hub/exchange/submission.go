package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// submission is an envelope that may be accepted, on its way to the committer.
type submission struct {
	sender        string
	envelope      *exchangev1.Envelope
	speaksFor     packet.Organisation
	subject       string
	warnings      []*packetv1.Finding
	contentDigest [sha256.Size]byte
	stored        store.Submission
	// answer is called once, by the committer, with a receipt or an error.
	answer func(*exchangev1.Receipt, error)
}

// prepare checks everything about an envelope that can be checked without
// writing. It returns a *fault.Error for whatever the sender did wrong.
func (s *Service) prepare(ctx context.Context, caller string, env *exchangev1.Envelope) (*submission, error) {
	if err := s.checkEnvelope(env); err != nil {
		return nil, err
	}
	sub := &submission{sender: caller, envelope: env, contentDigest: sha256.Sum256(env.GetContent())}
	sub.stored = store.Submission{Sender: caller, ID: env.GetId(), Digest: digestOf(env, sub.contentDigest)}
	err := s.admit(sub)
	if err == nil {
		return sub, nil
	}
	// What was accepted once keeps its receipt, even if it would be refused now.
	if sequence, digest, found := s.store.Find(ctx, caller, env.GetId()); found == nil && digest == sub.stored.Digest && sequence > 0 {
		return sub, nil
	} else if found != nil && !errors.Is(found, store.ErrNotFound) {
		return nil, fmt.Errorf("look for an earlier submission: %w", found)
	}
	return nil, err
}

func (s *Service) checkEnvelope(env *exchangev1.Envelope) error {
	if size := len(env.GetContent()); size > s.limits.ContentBytes {
		return fault.New(codes.ResourceExhausted, "packet_too_large",
			fmt.Sprintf("content is %d bytes; at most %d are allowed", size, s.limits.ContentBytes),
			fmt.Sprintf("nội dung gói tin có %d byte; cho phép tối đa %d byte", size, s.limits.ContentBytes))
	}
	if err := s.validator.Validate(env); err != nil {
		return fault.New(codes.InvalidArgument, "envelope_invalid", "envelope: "+err.Error(), "phong bì gói tin không hợp lệ: "+err.Error())
	}
	return nil
}

// admit reads the packet, checks that the sender may speak for its organisation,
// and finds who it goes to.
func (s *Service) admit(sub *submission) error {
	env := sub.envelope
	decoded, err := s.codec.Decode(env.GetType(), env.GetFormat(), env.GetContent())
	if err != nil {
		var invalid *packet.InvalidError
		if errors.As(err, &invalid) {
			return fault.New(codes.InvalidArgument, "packet_invalid",
				"the packet is not valid: "+violations(invalid, "%d violations, see findings"),
				"gói tin không hợp lệ: "+violations(invalid, "%d lỗi, xem findings")).With(invalid.Findings)
		}
		return fmt.Errorf("decode packet: %w", err)
	}
	sub.warnings, sub.subject = decoded.Warnings, decoded.Subject()
	sub.speaksFor, err = speaksFor(sub.sender, env.GetOnBehalfOf())
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
	sub.stored.Order = orderOf(sub.sender, sub.subject)
	return nil
}

func violations(invalid *packet.InvalidError, format string) string {
	count := 0
	for _, f := range invalid.Findings {
		if f.GetSeverity() != packetv1.Severity_SEVERITY_WARNING {
			count++
		}
	}
	return fmt.Sprintf(format, count)
}

// speaksFor returns the organisation a node speaks for: its own, or the one it
// names, which must be its own or below.
func speaksFor(node, onBehalfOf string) (packet.Organisation, error) {
	code, _, _ := strings.Cut(node, "/")
	own, err := packet.ParseOrganisation(code)
	if err != nil {
		return packet.Organisation{}, fmt.Errorf("organisation of node %s: %w", node, err)
	}
	if onBehalfOf == "" {
		return own, nil
	}
	named, err := packet.ParseOrganisation(onBehalfOf)
	if err != nil {
		return packet.Organisation{}, fault.New(codes.InvalidArgument, "organisation_invalid",
			"on_behalf_of is not an organisation code; allowed are G12.18 and 000.00.18.G12",
			"on_behalf_of không phải mã cơ quan; dạng cho phép: G12.18 hoặc 000.00.18.G12").Because(err)
	}
	if !own.Contains(named) {
		return packet.Organisation{}, notYours(own, named)
	}
	return named, nil
}

// checkInCharge refuses a packet whose organisation in charge is not the
// speaker, below the speaker, or the level-1 organisation above the speaker: the
// field names level 1, so H41.04 rightly writes H41 there.
func checkInCharge(speaker, inCharge packet.Organisation) error {
	if speaker.Contains(inCharge) || speaker.Level1() == inCharge {
		return nil
	}
	return notYours(speaker, inCharge)
}

func notYours(own, named packet.Organisation) error {
	return fault.New(codes.PermissionDenied, "organisation_not_yours",
		fmt.Sprintf("a node that speaks for %s may not speak for %s; allowed are %s and organisations below it", own, named, own),
		fmt.Sprintf("hệ thống của %s không được gửi thay cho %s; chỉ được gửi cho %s và các đơn vị trực thuộc", own, named, own))
}

// route returns the nodes an envelope goes to: all that hold a right, or those
// of them that the sender named.
func (s *Service) route(sub *submission) ([]string, error) {
	holders := s.rights.Receivers(sub.speaksFor, sub.envelope.GetType(), s.clock())
	named := sub.envelope.GetRecipients()
	if len(named) > 0 {
		for _, node := range named {
			if !slices.Contains(holders, node) {
				return nil, noRight(sub, node)
			}
		}
		return named, nil
	}
	recipients := make([]string, 0, len(holders))
	for _, node := range holders {
		if node != sub.sender {
			recipients = append(recipients, node)
		}
	}
	if len(recipients) == 0 {
		return nil, noRight(sub, "")
	}
	return recipients, nil
}

func noRight(sub *submission, receiver string) error {
	typ := strings.ToLower(strings.TrimPrefix(sub.envelope.GetType().String(), "PACKET_TYPE_"))
	en, vi := "no node holds", "chưa có hệ thống nào được cấp"
	if receiver != "" {
		en, vi = "node "+receiver+" does not hold", "hệ thống "+receiver+" chưa được cấp"
	}
	return fault.New(codes.PermissionDenied, "right_missing",
		fmt.Sprintf("%s a right to %s packets from %s; an administrator can grant one", en, typ, sub.speaksFor),
		fmt.Sprintf("%s quyền nhận gói tin %s từ %s; quản trị viên có thể cấp quyền", vi, typ, sub.speaksFor))
}

// digestOf tells submissions under one id apart: by content and by everything
// else the sender said.
func digestOf(env *exchangev1.Envelope, content [sha256.Size]byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(content[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(env.GetType())))   //nolint:gosec // enum
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(env.GetFormat()))) //nolint:gosec // enum
	h.Write([]byte(env.GetOnBehalfOf() + "\x00"))
	recipients := slices.Clone(env.GetRecipients())
	slices.Sort(recipients)
	for _, r := range recipients {
		h.Write([]byte(r + "\x00"))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// orderOf maps a sender and subject to the number that packets with a common
// order share. Two subjects that collide only wait for each other needlessly.
func orderOf(sender, subject string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(sender + "\x00" + subject)) // never fails, by contract of hash.Hash
	return h.Sum64()
}
