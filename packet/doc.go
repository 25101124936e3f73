// Package packet reads and writes the official packets of Decision
// 1705/QĐ-BTTTT: XML and JSON to Protobuf and back.
//
// Nothing here knows a packet by name. Names, aliases, types, rules and texts
// are read from the descriptors, where the .proto files put them; a field that is
// added there is read, written, validated and described in the XSD without a line
// of Go.
//
// Reading is liberal and says so: every liberty that was taken is a warning with
// its place, what was sent and what was understood, and every violation is
// reported at once. Writing is strict. What the standard does not know is kept
// and written again after the element it followed.
package packet
