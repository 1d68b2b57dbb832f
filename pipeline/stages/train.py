"""Stage train: train one model and write its weights, learning curves and samples."""

from pipeline.artifacts import VOCAB
from pipeline.errors import RefrainError
from pipeline.params.load import Params, load_params
from pipeline.program import run_stage, started_by_torchrun
from pipeline.text.vocab import read_vocab
from pipeline.training.memory import check_memory, training_size


def main(model: str) -> None:
    """Train model ``model`` of ``params.yaml``, or resume it from its checkpoint."""
    params = load_params()
    if model not in params.models:
        raise RefrainError(f"params.yaml has no model {model!r}: choose from {', '.join(params.models)}")
    runtime, precision = params.runtime, params.train_params(model).precision

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.device import choose_device, set_up
    from pipeline.training.ranks import check_devices, device_of_rank, join_ranks

    if not started_by_torchrun():
        check_room(model, params)
    if runtime.processes > 1 and not started_by_torchrun():
        from pipeline.training.launch import launch_processes

        check_devices(choose_device(runtime.device), runtime.processes)
        launch_processes(runtime.processes, runtime.threads, "-m", "pipeline.stages.train", model)
        return
    from pipeline.training.run import train_model

    device = device_of_rank(choose_device(runtime.device))
    threads = None if started_by_torchrun() else runtime.threads  # under torchrun, OMP_NUM_THREADS sets them
    set_up(device, threads, precision, params.models[model].hidden_size)
    with join_ranks(device) as ranks:
        train_model(model, params, device, ranks)


def check_room(name: str, params: Params) -> None:
    """Raise :class:`RefrainError` if the device has too little free memory to train model ``name``."""
    from pipeline.device import choose_device
    from pipeline.nn.cells import find_cell
    from pipeline.nn.language_model import ModelConfig

    vocab_size = len(read_vocab(VOCAB).vocab)
    config = ModelConfig(vocab_size, **params.models[name].architecture)
    size = training_size(params, name, vocab_size, find_cell(config.cell_name).gates)
    check_memory(params, name, size, choose_device(params.runtime.device))


if __name__ == "__main__":
    run_stage(main, of_a_model=True)
