"""Train a network of torch's own on the rows of a data set, with the soft labels that they carry.

    python examples/train_on_dataset.py --data runs/demo/dataset

Works on synthetic and on source data sets alike; people, cameras and labels come with each row.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.models import resnet18
from torchvision.transforms.functional import resize

from manifests.exports.torch import IdentitySampler, ReIDDataset


def prepared(image: Tensor) -> Tensor:
    """uint8 (3, H, W) in [0, 255] -> float32 (3, 128, 64) in [-1, 1]."""
    return resize(image, [128, 64], antialias=True).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="runs/demo/dataset")
    parser.add_argument("--where", help='only these rows, as "quality.foreground_fidelity > 0.8"')
    parser.add_argument("--people", type=int, default=8, help="different people in a batch")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()

    data = ReIDDataset(options.data, transform=prepared, where=options.where)
    batches = IdentitySampler(data.hard_labels, people=options.people, images=2)
    print(f"{len(data)} images of {data.num_classes} people, {len(batches)} batches an epoch")

    torch.manual_seed(0)
    network = resnet18(num_classes=data.num_classes)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(options.epochs):
        batches.set_epoch(epoch)
        losses = []
        for batch in DataLoader(data, batch_sampler=batches):  # num_workers=4 for larger data sets
            loss = F.cross_entropy(network(batch["image"]), batch["label"])  # (N, K) probabilities
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")


if __name__ == "__main__":
    main()
