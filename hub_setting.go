package main

import (
	"errors"
	"math"

	"github.com/lienthong/lienthong/hub/admin"
)

// setting is a flag for a number from 1 on; of bytes, with a unit or without. 0, which
// stands for the default in a configuration, cannot be given: whoever says it means
// something else. Where 0 is no limit, it can.
type setting[T int | uint64] struct {
	at               *T
	bytes, unlimited bool
}

// Set implements pflag.Value.
func (s setting[T]) Set(text string) error {
	number, err := admin.ParseNumber(text, s.bytes)
	if _, signed := any(*s.at).(int); err != nil || number == 0 && !s.unlimited || signed && number > math.MaxInt {
		return errors.New("not allowed") // FlagError says what is
	}
	*s.at = T(number)
	return nil
}

// String implements pflag.Value: empty, as the help says what holds without it.
func (s setting[T]) String() string { return "" }

// Type implements pflag.Value.
func (s setting[T]) Type() string {
	switch {
	case s.bytes:
		return admin.BytesType
	case s.unlimited:
		return "uint64"
	}
	return admin.SettingType
}
