package hub

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/hub/store"
)

// Retention says, by type of packet (dossier, progress, survey, statistic), how long
// packets are kept once they are done: acknowledged by all their recipients, or given up
// and discarded. Types that are not named are kept for ever. Receipts are, of all.
type Retention map[string]Keep

// Keep bounds what is kept of a type. Zero is no bound; a packet goes as soon as it is
// beyond one of the bounds.
type Keep struct {
	// For is how long after its acceptance, at least MinKeep.
	For Period `yaml:"keep"`
	// Bytes is how much there may be of the type, at least MinKeepBytes. The oldest go.
	Bytes Size `yaml:"bytes"`
}

// The least that can be kept.
const (
	MinKeep      = time.Hour
	MinKeepBytes = 1 << 20
)

// DefaultRetentionInterval is the time between two looks at what is kept too long where
// nothing else is said, MinRetentionInterval the least that may be said.
const (
	DefaultRetentionInterval = time.Minute
	MinRetentionInterval     = 10 * time.Millisecond
)

// Period is a length of time, written in days (1825d) or as 36h.
type Period time.Duration

// maxDays is what a time.Duration can hold, and more than anybody keeps anything.
const maxDays = 36500

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Period) UnmarshalText(text []byte) error {
	d, err := ParseDuration(string(text))
	if err != nil || d < 0 || d > maxDays*24*time.Hour {
		return fmt.Errorf("%q: days, as 1825d, at most %dd, or hours, as 36h, are expected", text, maxDays)
	}
	*p = Period(d)
	return nil
}

// String writes days where they are whole.
func (p Period) String() string {
	if d := time.Duration(p); d > 0 && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return time.Duration(p).String()
}

// Size is a number of bytes, written as 500GiB or plainly.
type Size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	bytes, err := admin.ParseBytes(string(text))
	if err != nil || bytes > math.MaxInt64 {
		return fmt.Errorf("%q: a number of bytes, such as 16777216, 500KiB, 16MiB or 64GiB, is expected", text)
	}
	*s = Size(bytes)
	return nil
}

// kinds returns the bounds as the store takes them, or what is wrong with them.
func (r Retention) kinds() (map[uint32]store.Keep, error) {
	kinds := make(map[uint32]store.Keep, len(r))
	for name, keep := range r {
		number, err := kindOf(name)
		if err == nil {
			err = keep.check(name)
		}
		if err != nil {
			return nil, err
		}
		kinds[uint32(number)] = store.Keep{Age: time.Duration(keep.For), Bytes: int64(keep.Bytes)} //nolint:gosec // an enum
	}
	return kinds, nil
}

// kindOf returns the number of a type of packets.
func kindOf(name string) (int32, error) {
	number, known := packetv1.PacketType_value[typePrefix+strings.ToUpper(name)]
	if !known || number == 0 || name != strings.ToLower(name) {
		return 0, fmt.Errorf("retention: there is no packet type %q; allowed are %s", name, strings.Join(typeWords(), ", "))
	}
	return number, nil
}

// check says what is wrong with the bounds of a type.
func (k Keep) check(name string) error {
	switch age := time.Duration(k.For); {
	case k == Keep{}:
		return fmt.Errorf("retention of %s: keep, as 1825d, or bytes, as 500GiB, is expected; a type that is not named is kept for ever", name)
	case age != 0 && age < MinKeep:
		return fmt.Errorf("retention of %s: keep %s: %s or more is allowed", name, k.For, MinKeep)
	case k.Bytes != 0 && k.Bytes < MinKeepBytes:
		return fmt.Errorf("retention of %s: bytes %d: %d (1MiB) or more are allowed", name, k.Bytes, MinKeepBytes)
	}
	return nil
}

const typePrefix = "PACKET_TYPE_"

// typeWords returns the types of packets, as they are written in a configuration.
func typeWords() []string {
	var words []string
	for number, name := range packetv1.PacketType_name {
		if number != 0 {
			words = append(words, strings.ToLower(strings.TrimPrefix(name, typePrefix)))
		}
	}
	slices.Sort(words)
	return words
}

// Set adds what a flag says: TYPE=PERIOD. Together with String and Type it makes a
// Retention a flag's value.
func (r *Retention) Set(text string) error {
	name, period, found := strings.Cut(text, "=")
	if !found {
		return errors.New("TYPE=PERIOD is expected, e.g. dossier=1825d")
	}
	var keep Keep
	if err := keep.For.UnmarshalText([]byte(period)); err != nil {
		return err
	}
	if _, err := (Retention{name: keep}).kinds(); err != nil {
		return err
	}
	if *r == nil {
		*r = Retention{}
	}
	(*r)[name] = keep
	return nil
}

// String writes what flags have said.
func (r *Retention) String() string {
	var all []string
	for name, keep := range *r {
		all = append(all, name+"="+keep.For.String())
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// Type names the value in the help of a flag.
func (*Retention) Type() string { return "TYPE=PERIOD" }
