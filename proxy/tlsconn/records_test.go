package tlsconn

import "testing"

// Records are counted alike, however the bytes come in.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 2, 'h', 'i', 21, 3, 3, 0, 0, 23, 3, 3, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, pieces records
		whole.follow(stream)
		ended := 0
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			pieces.follow(rest[:n])
			ended += pieces.ended
			rest = rest[n:]
		}
		want, rest := 0, stream
		for len(rest) >= recordHeader && len(rest)-recordHeader >= (int(rest[3])<<8|int(rest[4])) {
			want++
			rest = rest[recordHeader+(int(rest[3])<<8|int(rest[4])):]
		}
		if whole.ended != want || ended != want {
			t.Errorf("at once %d records, in pieces %d, want %d", whole.ended, ended, want)
		}
	})
}
