"""EncT5: the encoder of a T5 model with a linear classifier on its first token (TART-full's modeling_enc_t5.py)."""

from typing import Any

from torch import Tensor, nn
from transformers import T5EncoderModel
from transformers.modeling_outputs import SequenceClassifierOutput


class EncT5ForSequenceClassification(T5EncoderModel):  # type: ignore[misc]
    """Logits float32 [B, labels] from the hidden state of <s>, which the tokenizer puts first."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.classifier = nn.Linear(config.d_model, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        hidden = super().forward(input_ids=input_ids, attention_mask=attention_mask)[0]
        return SequenceClassifierOutput(logits=self.classifier(hidden[:, 0]))
