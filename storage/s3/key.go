package s3

import "strings"

// Names in the bucket. An object's ends in "!", so that a key and a key below it are a file and a folder of different names on servers
// that keep objects as files; "!" sorts before all that a key may hold, so that the order of the keys is kept. What belongs to the write
// of a key lies in a folder of its own below uploads, which no object's name begins with.
const (
	mark    = "!"
	uploads = "!uploads/"
)

// root is what every name begins with.
func (d *Driver) root() string {
	if d.o.Prefix == "" {
		return ""
	}
	return d.o.Prefix + "/"
}

func (d *Driver) objectName(key string) string { return d.root() + key + mark }

// keyOf gives the key of an object's name.
func (d *Driver) keyOf(name string) (string, bool) {
	name, ok := strings.CutPrefix(name, d.root())
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, mark)
}

func (d *Driver) uploadFolder(key string) string { return d.root() + uploads + key + mark + "/" }

const stateFile = "state"

func (d *Driver) stateName(key string) string { return d.uploadFolder(key) + stateFile }

// uploadOf splits the name of what belongs to a write into its key and the file's own name.
func (d *Driver) uploadOf(name string) (key, file string, ok bool) {
	name, ok = strings.CutPrefix(name, d.root()+uploads)
	if !ok {
		return "", "", false
	}
	return strings.Cut(name, mark+"/")
}
