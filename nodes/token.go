package nodes

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
)

// TokenPrefix begins every enrolment token.
const TokenPrefix = "lt1."

// ErrToken means that a text is not an enrolment token, or not a whole one.
var ErrToken = errors.New("not an enrolment token; lt1. and base64url are expected, as the hub printed it")

const (
	maxToken    = 2048
	secretBytes = 32
)

// ParseToken reads an enrolment token; white space around it is forgiven. What it
// returns names a node, a hub address, a root fingerprint, a secret and an end.
// Whether the token has ended is not looked at. The error is ErrToken; it never
// repeats the token, which is secret.
func ParseToken(text string) (*enrolmentv1.Token, error) {
	text = strings.TrimSpace(text)
	encoded, ok := strings.CutPrefix(text, TokenPrefix)
	if !ok || len(text) > maxToken {
		return nil, ErrToken
	}
	content, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return nil, fmt.Errorf("%w: after lt1. it is not base64url", ErrToken)
	}
	token := &enrolmentv1.Token{}
	if err := proto.Unmarshal(content, token); err != nil {
		return nil, fmt.Errorf("%w: it is damaged", ErrToken)
	}
	if _, err := certs.ParseNodeID(token.GetNode()); err != nil {
		return nil, fmt.Errorf("%w: it names no node", ErrToken)
	}
	if host, _, err := net.SplitHostPort(token.GetHubAddress()); err != nil || host == "" {
		return nil, fmt.Errorf("%w: it names no hub address", ErrToken)
	}
	if len(token.GetRootSha256()) != sha256.Size || len(token.GetSecret()) != secretBytes || !token.GetExpiresAt().IsValid() {
		return nil, fmt.Errorf("%w: fingerprint, secret or end is missing", ErrToken)
	}
	return token, nil
}
