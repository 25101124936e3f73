package packet

import (
	"errors"
	"strconv"
	"strings"
)

// maxDigits is how many characters a decimal may have. It is far beyond any
// amount of money and holds every percentage that a float was printed to.
const maxDigits = 128

// parseDecimal reads a decimal number and keeps its digits; a plus sign and a bare
// point, which xsd:decimal allows, are written without. exact is false where it is
// not spelt as xsd:decimal: with an exponent.
func parseDecimal(s string) (digits string, exact, ok bool) {
	if len(s) > maxDigits {
		return "", false, false
	}
	if isPlainDecimal(s) {
		return s, true, true
	}
	mantissa, exponent, scientific := s, 0, false
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		scientific = true
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
	if scientific {
		whole, fraction = shift(whole, fraction, exponent)
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	digits = sign + whole
	return digits, !scientific, len(digits) <= maxDigits
}

// shift moves the point of whole.fraction and drops the zeros before it.
func shift(whole, fraction string, exponent int) (string, string) {
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
	return strings.TrimLeft(whole, "0"), fraction
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
	case "", "nan", "nan(ind)", "inf", "infinity", "∞":
		return s != "+" && s != "-"
	default:
		return false
	}
}

func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }
