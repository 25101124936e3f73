package admin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// shown returns an error as people read it: a refusal in English and Vietnamese,
// each finding in a line of its own, and the next step where there is one.
func shown(err error, hub string) error {
	var told *fault.Error
	s, remote := status.FromError(err)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
	case !remote:
		return err
	case len(s.Details()) == 0 && troubled(s.Message()):
		trouble, _ := TroubleOf(s.Message())
		return &refusal{err: err, text: fmt.Sprintf("the hub at %s cannot be reached: %s\nkhông kết nối được với trục liên thông tại %s: %s\nNext: %s", hub, trouble.EN, hub, trouble.VI, trouble.NextEN)}
	case s.Code() == codes.Unavailable && len(s.Details()) == 0:
		return &refusal{err: err, text: fmt.Sprintf(`the hub at %s cannot be reached: %s
không kết nối được với trục liên thông tại %s
Next: check that the hub runs there, and that --profile DIR is a profile for it`, hub, connectionError(s.Message()), hub)}
	case s.Code() == codes.DeadlineExceeded:
		return &refusal{err: err, text: fmt.Sprintf(`the hub at %s did not answer in time
trục liên thông tại %s không trả lời kịp thời
Next: check that the hub runs there; --timeout 2m waits longer`, hub, hub)}
	default:
		told = fault.From(err)
	}
	return &refusal{err: told, text: explain(told)}
}

func troubled(said string) bool {
	_, is := TroubleOf(said)
	return is
}

// connectionError returns what grpc says about a connection, without its wrapping.
func connectionError(text string) string {
	wrapped, found := strings.CutPrefix(text, "connection error: desc = ")
	if !found {
		return text
	}
	if plain, err := strconv.Unquote(wrapped); err == nil {
		return strings.TrimPrefix(plain, "transport: ")
	}
	return wrapped
}

// refusal is an error with a text for people.
type refusal struct {
	err  error
	text string
}

// Error returns the text.
func (r *refusal) Error() string { return r.text }

// Unwrap returns the *fault.Error, where there is one.
func (r *refusal) Unwrap() error { return r.err }

func explain(told *fault.Error) string {
	lines := []string{told.EN}
	if told.VI != told.EN {
		lines = append(lines, told.VI)
	}
	if len(told.Findings) > 1 || len(told.Findings) == 1 && told.Findings[0].GetLine() > 0 {
		for _, f := range told.Findings {
			lines = append(lines, "  "+where(f)+f.GetMessageEn(), "  "+strings.Repeat(" ", len(where(f)))+f.GetMessageVi())
		}
	}
	if next := nextStep(told.Reason); next != "" {
		lines = append(lines, "Next: "+next)
	}
	return strings.Join(lines, "\n")
}

// where returns "line 3: code: " for a finding in a file, "right.sender: " for one
// in a request.
func where(f *packetv1.Finding) string {
	text := ""
	if f.GetLine() > 0 {
		text = fmt.Sprintf("line %d: ", f.GetLine())
	}
	if f.GetField() != "" {
		text += f.GetField() + ": "
	}
	return text
}

// nextStep says what helps against a refusal; empty where its text says it all.
func nextStep(reason string) string {
	switch reason {
	case "organisation_unknown":
		return "register it with lienthong admin org import FILE.csv, a file of lines code,name_vi"
	case "right_party_unknown":
		return "see lienthong admin org list and lienthong admin node list for what is registered"
	case "node_unknown", "node_state":
		return "see lienthong admin node list"
	case "node_exists":
		return "choose another name; or, for the same system, give it a new token: lienthong admin node token ID. See lienthong admin node list"
	case "right_unknown":
		return "see lienthong admin right list for the ids"
	case "not_for_you", "node_not_active", "certificate_missing", "certificate_unknown_authority", "certificate_expired",
		"certificate_invalid", "certificate_superseded":
		return "name an administrator's profile of this hub with --profile DIR"
	}
	return ""
}
