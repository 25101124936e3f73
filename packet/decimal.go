package packet

import (
	"errors"
	"strconv"
	"strings"
)

// maxDigits is how many characters a decimal may have. It is far beyond any
// amount of money and holds every percentage that a float was printed to.
const maxDigits = 128

// parseDecimal reads a decimal number and keeps its digits. exact is false where
// the spelling had to be changed: a plus sign, a bare point, an exponent.
func parseDecimal(s string) (digits string, exact, ok bool) {
	if len(s) > maxDigits {
		return "", false, false
	}
	if isPlainDecimal(s) {
		return s, true, true
	}
	mantissa, exponent := s, 0
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		n, err := strconv.Atoi(s[at+1:])
		if err != nil || n < -maxDigits || n > maxDigits {
			return "", false, false
		}
		mantissa, exponent = s[:at], n
	}
	sign := ""
	if unsigned := strings.TrimLeft(mantissa, "+-"); len(mantissa)-len(unsigned) == 1 {
		if mantissa[0] == '-' {
			sign = "-"
		}
		mantissa = unsigned
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !isDigits(whole+fraction) {
		return "", false, false
	}
	moved := sign + shift(whole, fraction, exponent)
	return moved, false, len(moved) <= maxDigits
}

// shift moves the point of whole.fraction and leaves one digit before it.
func shift(whole, fraction string, exponent int) string {
	for ; exponent > 0; exponent-- {
		if fraction == "" {
			fraction = "0"
		}
		whole, fraction = whole+fraction[:1], fraction[1:]
	}
	for ; exponent < 0; exponent++ {
		if whole == "" {
			whole = "0"
		}
		whole, fraction = whole[:len(whole)-1], whole[len(whole)-1:]+fraction
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

// isPlainDecimal reports whether s is digits with an optional minus sign and an
// optional fraction: what is written, and what the rules allow.
func isPlainDecimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, cut := strings.Cut(s, ".")
	return isDigits(whole) && (!cut || isDigits(fraction))
}

// isJSONNumber reports whether a plain decimal is a JSON number as it stands.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return len(s) == 1 || s[0] != '0' || s[1] == '.'
}

// isNoNumber reports whether s is what programs print for 0/0, or nothing.
func isNoNumber(s string) bool {
	if len(s) > len("+Infinity") {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "", "nan", "inf", "infinity", "∞":
		return s != "+" && s != "-"
	default:
		return false
	}
}

func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }
