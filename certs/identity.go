package certs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what the owner of a certificate is.
type Kind uint8

// The kinds of owners. The zero Kind is nobody.
const (
	KindNode  Kind = iota + 1 // one system of one organisation
	KindHub                   // a hub, as server
	KindAdmin                 // an administrator
)

// String returns the word that stands in the URI.
func (k Kind) String() string {
	switch k {
	case KindNode:
		return "node"
	case KindHub:
		return "hub"
	case KindAdmin:
		return "admin"
	}
	return "nobody"
}

// ErrName means that a name, an organisation code or a URI is not written as
// identities are. Its text says what is allowed.
var ErrName = errors.New("not a valid identity")

const (
	scheme          = "spiffe://"
	maxName         = 63
	maxOrganisation = 32
	maxURI          = 255
)

// Identity is who a certificate speaks for.
type Identity struct {
	Kind Kind
	// Organisation is the canonical code, e.g. "G12.18"; nodes only.
	Organisation string
	// Name of the node within its organisation, of the hub, or of the administrator.
	Name string
	// Serial number of the certificate, lower-case hexadecimal; empty where the
	// identity does not come from a certificate.
	Serial string
	// NotAfter is the end of the certificate; zero where Serial is empty.
	NotAfter time.Time
}

// NewNode returns the identity of a node; ErrName when it is not written as
// identities are.
func NewNode(organisation, name string) (Identity, error) {
	id := Identity{Kind: KindNode, Organisation: organisation, Name: name}
	return id, id.check()
}

// ParseNodeID returns the identity that a node id such as "H41/motcua" names;
// ErrName when it is none. The organisation is taken as written: canonical.
func ParseNodeID(id string) (Identity, error) {
	organisation, name, found := strings.Cut(id, "/")
	if !found {
		return Identity{}, fmt.Errorf("%w: node id %.100q; <organisation>/<name> is expected, e.g. H41/motcua", ErrName, id)
	}
	return NewNode(organisation, name)
}

// ParseURI returns the identity that a URI name says, and its trust domain. Only
// the exact spelling that URI gives is accepted; ErrName otherwise.
func ParseURI(uri string) (trustDomain string, id Identity, err error) {
	refused := fmt.Errorf("%w: URI %.300q", ErrName, uri)
	rest, found := strings.CutPrefix(uri, scheme)
	parts := strings.Split(rest, "/")
	if !found || len(uri) > maxURI || !isDomain(parts[0]) {
		return "", Identity{}, refused
	}
	switch {
	case len(parts) == 4 && parts[1] == "node":
		id = Identity{Kind: KindNode, Organisation: parts[2], Name: parts[3]}
	case len(parts) == 3 && parts[1] == "hub":
		id = Identity{Kind: KindHub, Name: parts[2]}
	case len(parts) == 3 && parts[1] == "admin":
		id = Identity{Kind: KindAdmin, Name: parts[2]}
	default:
		return "", Identity{}, refused
	}
	if err := id.check(); err != nil {
		return "", Identity{}, err
	}
	return parts[0], id, nil
}

// String returns "H41/motcua" for a node, "hub:name" and "admin:name" for the
// others, and nothing for nobody. No two kinds share a string.
func (i Identity) String() string {
	switch i.Kind {
	case KindNode:
		return i.Organisation + "/" + i.Name
	case KindHub, KindAdmin:
		return i.Kind.String() + ":" + i.Name
	}
	return ""
}

// URI returns the identity as it stands in certificates of a trust domain.
func (i Identity) URI(trustDomain string) string {
	if i.Kind == KindNode {
		return scheme + trustDomain + "/node/" + i.Organisation + "/" + i.Name
	}
	return scheme + trustDomain + "/" + i.Kind.String() + "/" + i.Name
}

func (i Identity) check() error {
	switch i.Kind {
	case KindNode:
		if !isOrganisation(i.Organisation) {
			return fmt.Errorf("%w: organisation %.100q; capital letters, digits and single dots are allowed, at most %d, e.g. G12.18", ErrName, i.Organisation, maxOrganisation)
		}
		if !isName(i.Name) {
			return fmt.Errorf("%w: name %.100q; a-z, 0-9 and hyphens are allowed, at most %d, the first no hyphen", ErrName, i.Name, maxName)
		}
	case KindAdmin:
		if !isName(i.Name) {
			return fmt.Errorf("%w: administrator %.100q; a-z, 0-9 and hyphens are allowed, at most %d, the first no hyphen", ErrName, i.Name, maxName)
		}
	case KindHub:
		if !isDomain(i.Name) {
			return fmt.Errorf("%w: hub %.100q; a-z, 0-9, hyphens and single dots are allowed, at most %d", ErrName, i.Name, maxName)
		}
	default:
		return fmt.Errorf("%w: kind %d", ErrName, i.Kind)
	}
	return nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isDomain reports whether s is names joined by dots: a trust domain or a hub.
func isDomain(s string) bool {
	if len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isName(label) {
			return false
		}
	}
	return true
}

func isOrganisation(s string) bool {
	if len(s) > maxOrganisation {
		return false
	}
	for level := range strings.SplitSeq(s, ".") {
		if level == "" || strings.Trim(level, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return false
		}
	}
	return true
}
