package admin

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

// asHub is how a limit is written that the hub has for all nodes.
const asHub = "hub"

// limit is a flag: a number or, where it is sized, of bytes; 0 is as the hub has it.
type limit struct {
	value uint64
	sized bool
}

// Set implements pflag.Value.
func (l *limit) Set(text string) error {
	if text == asHub {
		l.value = 0
		return nil
	}
	number, err := ParseNumber(text, l.sized)
	if err != nil || number == 0 {
		return errors.New("not a limit") // FlagError says what is
	}
	l.value = number
	return nil
}

// String implements pflag.Value.
func (l *limit) String() string {
	if l.value == 0 {
		return asHub
	}
	return strconv.FormatUint(l.value, 10)
}

// Types of flags.
const (
	limitType = "limit"
	sizeType  = "size"
	// SettingType and BytesType are of flags elsewhere: numbers from 1 on, of bytes with
	// a unit or without.
	SettingType = "number"
	BytesType   = "bytes"
)

// Type implements pflag.Value.
func (l *limit) Type() string {
	if l.sized {
		return sizeType
	}
	return limitType
}

// units of bytes, each 1024 times the one before.
func units() []string { return []string{"KiB", "MiB", "GiB", "TiB"} }

// ParseNumber reads a number, or one of bytes.
func ParseNumber(text string, ofBytes bool) (uint64, error) {
	if ofBytes {
		return ParseBytes(text)
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return number, nil
}

// ParseBytes reads a number of bytes, with a unit or without: 20971520, 500KiB, 64GiB; and
// as commands print it: 64 GiB, 8.0 MiB, 512 bytes.
func ParseBytes(text string) (uint64, error) {
	digits, factor := cutUnit(text)
	whole, tenths, isFraction := strings.Cut(digits, ".")
	number, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || number > math.MaxUint64/factor || isFraction && (factor == 1 || len(tenths) != 1) {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	if !isFraction {
		return number * factor, nil
	}
	tenth, err := strconv.ParseUint(tenths, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	return number*factor + tenth*factor/10, nil
}

func cutUnit(text string) (digits string, factor uint64) {
	factor = 1
	for _, unit := range units() {
		factor <<= 10
		if digits, found := strings.CutSuffix(text, unit); found {
			return strings.TrimSuffix(digits, " "), factor
		}
	}
	return strings.TrimSuffix(text, " bytes"), 1
}

// byteText writes bytes in the largest unit that needs no fraction.
func byteText(bytes uint64) string {
	text := fmt.Sprintf("%d bytes", bytes)
	for _, unit := range units() {
		if bytes == 0 || bytes%1024 != 0 {
			break
		}
		bytes /= 1024
		text = fmt.Sprintf("%d %s", bytes, unit)
	}
	return text
}

// roughly writes bytes in the largest unit of which there is one, to a tenth.
func roughly(bytes uint64) string {
	number, unit := float64(bytes), "bytes"
	for _, next := range units() {
		if number < 1024 {
			break
		}
		number, unit = number/1024, next
	}
	return strings.TrimSuffix(strconv.FormatFloat(number, 'f', 1, 64), ".0") + " " + unit
}

// quotaText writes what a quota says; otherwise, where it says nothing.
func quotaText(quota *registryv1.Quota, otherwise string) string {
	var said []string
	if packets := quota.GetPacketsPerSecond(); packets > 0 {
		said = append(said, fmt.Sprintf("%d packets/s", packets))
	}
	if bytes := quota.GetBytesPerSecond(); bytes > 0 {
		said = append(said, byteText(bytes)+"/s")
	}
	if bytes := quota.GetInboxBytes(); bytes > 0 {
		said = append(said, "inbox "+byteText(bytes))
	}
	if len(said) == 0 {
		return otherwise
	}
	return strings.Join(said, ", ")
}
