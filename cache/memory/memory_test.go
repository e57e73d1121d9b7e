package memory_test

import (
	"testing"

	"sluice/cache/memory"
)

func TestMap(t *testing.T) {
	t.Parallel()
	if _, err := memory.New[int, int](0, nil); err == nil {
		t.Error("a size of 0 is accepted")
	}
	m, err := memory.New[int, int](100, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.Set(1, 10)
	if v, ok := m.Get(1); !ok || v != 10 {
		t.Errorf("Get = %d, %v after Set", v, ok)
	}
	m.Delete(1)
	if v, ok := m.Get(1); ok {
		t.Errorf("Get = %d after Delete", v)
	}
}
