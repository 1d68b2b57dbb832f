import pytest
import torch

from pipeline import device
from pipeline.device import choose_device, set_up
from pipeline.errors import RefrainError


@pytest.mark.parametrize(
    ("present", "chosen"),
    [(["cpu", "cuda:0", "mps"], "cuda:0"), (["cpu", "mps"], "mps"), (["cpu"], "cpu")],
)
def test_auto_takes_cuda_then_mps_then_cpu(
    monkeypatch: pytest.MonkeyPatch, present: list[str], chosen: str
) -> None:
    monkeypatch.setattr(device, "available_devices", lambda: present)
    assert choose_device("auto") == torch.device(chosen)


def test_absent_device_is_an_error_that_names_those_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_devices", lambda: ["cpu", "cuda:0"])
    assert choose_device("cuda") == torch.device("cuda:0")
    for name in ("cuda:7", "tpu", "mps"):
        with pytest.raises(
            RefrainError, match=f"device: '{name}' is not on this machine: choose from auto, cpu, cuda:0"
        ):
            choose_device(name)


def test_set_up_threads_and_precision() -> None:
    threads = torch.get_num_threads()
    try:
        set_up(torch.device("cpu"), 1, "medium", 256)
        assert torch.get_num_threads() == 1
        assert torch.get_float32_matmul_precision() == "medium"
        for hidden_size, expected in ((256, 4), (37, 3), (8, 1)):
            set_up(torch.device("cpu"), 4, "highest", hidden_size)
            assert torch.get_num_threads() == expected
    finally:
        set_up(torch.device("cpu"), threads, "highest", 256)
