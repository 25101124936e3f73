package packet

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// EnvelopeID returns an id for an envelope whose sender gives none: it follows
// from the content and from whom it is for, so that the same submission has the
// same id at whichever door it is repeated, and any other has another.
func EnvelopeID(envelope *exchangev1.Envelope) string {
	content := sha256.Sum256(envelope.GetContent())
	if upload := envelope.GetUpload(); upload != nil {
		copy(content[:], upload.GetSha256())
	}
	said := binary.BigEndian.AppendUint32(content[:], uint32(envelope.GetType())) //nolint:gosec // enum
	recipients := slices.Sorted(slices.Values(envelope.GetRecipients()))
	for _, text := range append([]string{envelope.GetOnBehalfOf()}, recipients...) {
		said = binary.BigEndian.AppendUint32(said, uint32(len(text))) //nolint:gosec // bounded by the message
		said = append(said, text...)
	}
	sum := sha256.Sum256(said)
	return "auto-" + hex.EncodeToString(sum[:])
}
