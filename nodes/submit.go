package nodes

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// ErrReceipt means that the hub's receipt does not prove that the envelope was
// accepted: it does not verify with the hub's ledger key, or is about something
// else. It wraps the reason of package receipt.
var ErrReceipt = errors.New("the receipt does not prove that the envelope was accepted")

// Accepted is the proof that an envelope was accepted. It has been verified.
type Accepted struct {
	// Receipt to keep: it verifies offline, for anybody with the hub's ledger key.
	Receipt *exchangev1.Receipt
	// Statement is what the receipt proves.
	Statement *exchangev1.Statement
}

// Submit submits one envelope and returns the verified proof that it was
// accepted: it is on stable storage then. An empty id is filled in, in env itself,
// so that submitting the same env again is the same submission.
//
// While the hub cannot be reached, or asks to come back later, Submit tries again
// until ctx ends: give it a deadline. It may then have been accepted or not;
// submit it again with the same id to find out. Where a recipient's inbox is full
// ("recipient_full"), Submit does not try again: that can last for as long as the
// recipient is away, and it is for the application to keep the envelope and submit it
// later, when RetryAfter has passed or it has news of the recipient. Errors: *Refused,
// which wraps what ctx ended with where it did, ErrReceipt, ErrClosed.
func (c *Client) Submit(ctx context.Context, env *exchangev1.Envelope) (*Accepted, error) {
	if _, err := c.address(env); err != nil {
		return nil, err
	}
	for failures := 0; ; failures++ {
		resp, err := c.exchange.Submit(ctx, &exchangev1.SubmitRequest{Envelope: env}, grpc.WaitForReady(true))
		if err == nil {
			return c.prove(resp.GetReceipt(), env)
		}
		if ctx.Err() != nil || c.isClosed() {
			return nil, c.ended(ctx, err)
		}
		refused, after, again := c.judge(err)
		if !again || !(passing(refused) || denied(refused)) {
			return nil, refused
		}
		if err := c.pause(ctx, max(after, c.backoff.Delay(failures, c.random()))); err != nil {
			return nil, c.gaveUp(ctx, refused)
		}
	}
}

// ended is the error of a call that failed when ctx or the Client had ended. A
// refusal for good that came just then is one; "not now" is not.
func (c *Client) ended(ctx context.Context, err error) error {
	if refused := c.refused(err); refused.cause == nil && passing(refused) && !c.isClosed() {
		return c.gaveUp(ctx, refused)
	}
	return c.told(ctx, err)
}

// gaveUp is the error of trying again until ctx, or the Client, ended.
func (c *Client) gaveUp(ctx context.Context, last *Refused) error {
	if c.isClosed() {
		return ErrClosed
	}
	r := c.tooLate(context.Cause(ctx))
	r.Refusal.MessageEn += "; the last answer was " + last.Error()
	r.Refusal.MessageVi += "; trả lời gần nhất: " + last.Refusal.GetMessageVi()
	r.cause = fmt.Errorf("%w; %w", r.cause, last)
	return r
}

// passing reports whether a refusal of one envelope says "not now". A hub that
// stops may answer CANCELED or DEADLINE_EXCEEDED for what it was about to take. That a
// recipient's inbox is full is no matter of moments, nor of other envelopes.
func passing(refused *Refused) bool {
	switch refused.Code() {
	case codes.Unavailable, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
		return true
	case codes.ResourceExhausted:
		return refused.Refusal.GetRetryAfter() != nil && refused.Reason() != reasonRecipientFull
	default:
		return false
	}
}

// address gives an envelope an id where it has none, and refuses what cannot
// travel at all. It returns the size of the envelope on the wire.
func (c *Client) address(env *exchangev1.Envelope) (int, error) {
	if env == nil {
		return 0, refusal(codes.InvalidArgument, "request_invalid", "there is no envelope", "không có phong bì gói tin")
	}
	if env.GetId() == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return 0, fmt.Errorf("envelope id: %w", err)
		}
		env.Id = id.String()
	}
	if count := len(env.GetRecipients()); c.recipients > 0 && count > c.recipients {
		return 0, refusal(codes.InvalidArgument, "request_invalid",
			fmt.Sprintf("envelope.recipients: %d recipients; at most %d are allowed", count, c.recipients),
			fmt.Sprintf("envelope.recipients: có %d nơi nhận; cho phép tối đa %d", count, c.recipients))
	}
	texts := append([]string{env.GetId(), env.GetOnBehalfOf()}, env.GetRecipients()...)
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return 0, refusal(codes.InvalidArgument, "request_invalid",
				"envelope: id, on_behalf_of and recipients must be UTF-8", "phong bì gói tin: id, on_behalf_of và recipients phải là UTF-8")
		}
	}
	size := proto.Size(env)
	if size > c.messageBytes-frameOverhead {
		return 0, refusal(codes.ResourceExhausted, "packet_too_large",
			fmt.Sprintf("the envelope is %d bytes; this node sends at most %d", size, c.messageBytes-frameOverhead),
			fmt.Sprintf("phong bì gói tin có %d byte; hệ thống này gửi tối đa %d byte", size, c.messageBytes-frameOverhead))
	}
	return size, nil
}

// maxRecipients returns how many recipients the rules of an envelope allow; 0 where
// they do not say. So many that the hub would not read the message, it need not be sent.
func maxRecipients() int {
	field := (&exchangev1.Envelope{}).ProtoReflect().Descriptor().Fields().ByName("recipients")
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return int(rules.GetRepeated().GetMaxItems()) //nolint:gosec // by the .proto file
}

// frameOverhead is more than the message around one envelope adds to it.
const frameOverhead = 64

// prove verifies a receipt and compares it with what was submitted.
func (c *Client) prove(r *exchangev1.Receipt, env *exchangev1.Envelope) (*Accepted, error) {
	statement, err := c.receipts.Verify(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return c.matching(r, statement, env)
}

// matching returns the proof that an envelope was accepted, where a verified statement
// is about it.
func (c *Client) matching(r *exchangev1.Receipt, statement *exchangev1.Statement, env *exchangev1.Envelope) (*Accepted, error) {
	err := receipt.MatchesContent(statement, env.GetContent())
	if upload := env.GetUpload(); upload != nil {
		err = receipt.MatchesDigest(statement, upload.GetSha256())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if statement.GetSender() != c.node || statement.GetEnvelopeId() != env.GetId() || statement.GetType() != env.GetType() {
		return nil, fmt.Errorf("%w: it is for envelope %q of %s, not %q of %s", ErrReceipt,
			statement.GetEnvelopeId(), statement.GetSender(), env.GetId(), c.node)
	}
	return &Accepted{Receipt: r, Statement: statement}, nil
}
