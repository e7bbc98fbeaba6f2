"""What is the name of a model, whatever files and folders there are of that name."""

import re

_FUNCTION = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*")


def is_name(model: str) -> bool:
    """Whether this names a model of a library, or a function as `package.module:function`.

    A file or folder called like a library's model is said as a path, such as `./resnet18`.
    """
    if model == "small_resnet" or model.startswith("torchvision/") or _FUNCTION.fullmatch(model):
        return True
    import timm

    return timm.is_model_pretrained(model) or ("." not in model and timm.is_model(model))
